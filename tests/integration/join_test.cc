// SPDX-License-Identifier: Apache-2.0
// The library's records alone: needs no privilege. join_bpf_test.cc adds what the kernel saw.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <memory>

#include "conntrace/recorder.h"
#include "join_check.h"
#include "sources/record_reader.h"

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
  EXPECT_THAT(found, testing::IsEmpty()) << records_behind(found, outcome.records);
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
