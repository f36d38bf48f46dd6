// SPDX-License-Identifier: Apache-2.0
// The library's records alone: needs no privilege. join_bpf_test.cc adds what the kernel saw.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <algorithm>
#include <chrono>
#include <memory>
#include <string_view>

#include "conntrace/recorder.h"
#include "conntrace/unique_fd.h"
#include "join_check.h"
#include "origin_server.h"
#include "sources/record_reader.h"
#include "tests/support/deadline.h"

namespace conntrace::test {
namespace {

struct Outcome {
  Evidence evidence;
  Timelines timelines;
  std::string records;
  std::uint64_t lines = 0;
  RecordReaderStats read;
};

/// The traffic, recorded and correlated. Once: both tests look at the same.
const Outcome& the_outcome() {
  static const Outcome outcome = [] {
    Outcome result;
    auto recorder = std::make_shared<Recorder>();
    const auto sink = std::make_shared<MemorySink>();
    recorder->add_sink(sink);
    result.evidence = run_traffic(*recorder->trace());
    recorder->remove_sink(sink);

    cli::Correlator correlator({}, result.timelines.sink());
    RecordReader reader("memory");
    const auto add = [&](Event&& event) { correlator.add(event); };
    EXPECT_TRUE(reader.feed(sink->text(), add));
    EXPECT_TRUE(reader.finish(add));
    correlator.finish();
    result.timelines.stats = correlator.stats();
    result.records = sink->text();
    result.lines = sink->records();
    result.read = reader.stats();
    return result;
  }();
  return outcome;
}

TEST(Join, HookTimelinesEqualWhatClientServersAndSockDiagSaid) {
  const Outcome& outcome = the_outcome();
  EXPECT_GE(outcome.evidence.answers.size(), 200u);
  const auto found = mismatches(outcome.timelines, outcome.evidence, /*kernel=*/false);
  EXPECT_THAT(found, ::testing::IsEmpty()) << records_behind(found, outcome.records);
}

/// What lets a connection have carried one request more than its server has read.
TEST(Join, TheServerSaysWhatCameAfterItsFin) {
  const auto origin =
      example::OriginServer::start({.idle_timeout = std::chrono::milliseconds(10), .linger = testing::kDeadline});
  ASSERT_TRUE(origin) << origin.error().message();
  const UniqueFd client(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  const sockaddr_in address{.sin_family = AF_INET,
                            .sin_port = htons((*origin)->port()),
                            .sin_addr = {htonl(INADDR_LOOPBACK)},
                            .sin_zero = {}};
  ASSERT_EQ(::connect(client.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)), 0);
  char byte = 0;
  ASSERT_EQ(::recv(client.get(), &byte, 1, 0), 0) << "the idle timeout closes";
  EXPECT_FALSE((*origin)->connections().at(0).came_late);
  const std::string_view request = "GET /hello HTTP/1.1\r\nHost: late\r\n\r\n";
  ASSERT_EQ(::send(client.get(), request.data(), request.size(), MSG_NOSIGNAL), std::ssize(request));
  EXPECT_TRUE(testing::eventually([&] { return (*origin)->connections().at(0).came_late; }));
  EXPECT_EQ((*origin)->connections().at(0).requests, 0u);
}

TEST(Join, EveryRecordIsAccountedFor) {
  const Outcome& outcome = the_outcome();
  EXPECT_EQ(outcome.read.records, outcome.lines);
  EXPECT_EQ(outcome.timelines.stats.records, outcome.lines);
  EXPECT_EQ(outcome.timelines.stats.used, outcome.lines);
  EXPECT_EQ(outcome.timelines.stats.lost, 0u);
  EXPECT_EQ(outcome.timelines.stats.late, 0u);
}

TEST(Join, TheComparisonNoticesEachLie) {
  const Outcome& outcome = the_outcome();
  const auto noticed = [&](const auto& lie) {
    Timelines timelines = outcome.timelines;
    const auto reused = std::find_if(timelines.requests.begin(), timelines.requests.end(), [](const auto& request) {
      return request.response && request.connection && request.connection->reused == true;
    });
    const auto closed = std::find_if(timelines.connections.begin(), timelines.connections.end(), [](const auto& one) {
      return one.closed && one.closed->reason == CloseReason::idle_timeout;
    });
    if (reused == timelines.requests.end() || closed == timelines.connections.end()) return false;
    lie(timelines, *reused, *closed);
    return !mismatches(timelines, outcome.evidence, /*kernel=*/false).empty();
  };
  using Request = cli::RequestTimeline;
  using Connection = cli::ConnectionTimeline;
  EXPECT_TRUE(noticed([](Timelines&, Request& request, Connection&) { ++*request.connection->cookie; }));
  EXPECT_TRUE(noticed([](Timelines&, Request& request, Connection&) { request.connection->reused = false; }));
  EXPECT_TRUE(noticed([](Timelines&, Request& request, Connection&) { request.connection->local = "127.0.0.1:1"; }));
  EXPECT_TRUE(noticed([](Timelines&, Request& request, Connection&) { ++request.connection->number; }));
  EXPECT_TRUE(noticed([](Timelines&, Request& request, Connection&) { request.error.emplace(); }));
  EXPECT_TRUE(noticed([](Timelines&, Request& request, Connection&) { request.complete = false; }));
  EXPECT_TRUE(noticed([](Timelines&, Request&, Connection& connection) { ++*connection.requests; }));
  EXPECT_TRUE(noticed([](Timelines&, Request&, Connection& connection) { ++*connection.cookie; }));
  EXPECT_TRUE(noticed([](Timelines&, Request&, Connection& connection) { connection.closed.reset(); }));
  EXPECT_TRUE(noticed([](Timelines&, Request&, Connection& connection) {
    connection.closed->by = connection.closed->by == ClosedBy::local ? ClosedBy::peer : ClosedBy::local;
  }));
  EXPECT_TRUE(noticed([](Timelines& timelines, Request&, Connection&) { timelines.requests.pop_back(); }));
  EXPECT_TRUE(noticed([](Timelines& timelines, Request&, Connection&) { timelines.connections.pop_back(); }));
  EXPECT_TRUE(
      noticed([](Timelines& timelines, Request& request, Connection&) { timelines.requests.push_back(request); }));
}

}  // namespace
}  // namespace conntrace::test
