// SPDX-License-Identifier: Apache-2.0
// The library's records joined with the kernel's: the same traffic, in a process that observes itself.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <iostream>
#include <thread>

#include "agent/observer.h"
#include "conntrace/event_json.h"
#include "conntrace/recorder.h"
#include "join_check.h"
#include "sources/record_reader.h"

namespace conntrace::test {
namespace {

constexpr int kSkip = 77;

/// Polls on a thread of its own until it is told to stop, then drains.
class Observation {
 public:
  explicit Observation(std::unique_ptr<agent::Observer> observer) : observer_(std::move(observer)) {
    thread_ = std::thread([this] {
      while (!stop_) ASSERT_TRUE(observer_->poll(10));
      ASSERT_TRUE(observer_->drain());
    });
  }
  agent::ObserverStats finish() {
    stop_ = true;
    thread_.join();
    return observer_->stats();
  }

 private:
  std::unique_ptr<agent::Observer> observer_;
  std::atomic<bool> stop_ = false;
  std::thread thread_;
};

agent::ObserverOptions this_process() {
  agent::ObserverOptions options;
  options.selection.pids = {::getpid()};
  return options;
}

std::string as_lines(const std::vector<Event>& events) {
  std::string lines;
  for (const Event& event : events) append_json_line(event, lines);
  return lines;
}

TEST(JoinWithKernel, TimelinesEqualWhatClientServersAndSockDiagSaid) {
  std::vector<Event> seen;
  auto observer = agent::Observer::open(this_process(), [&](const Event& event) { seen.push_back(own(event)); });
  ASSERT_TRUE(observer) << observer.error().message();
  Observation observation(std::move(*observer));

  auto recorder = std::make_shared<Recorder>();
  const auto lines = std::make_shared<MemorySink>();
  recorder->add_sink(lines);
  const Evidence evidence = run_traffic(*recorder->trace());
  recorder->remove_sink(lines);
  const agent::ObserverStats observed = observation.finish();

  // Both sources are put into the correlator one after the other; it sorts them by time.
  Timelines timelines;
  cli::Correlator correlator({.window = std::chrono::hours(1)}, timelines.sink());
  for (const Event& event : seen) correlator.add(event);
  RecordReader reader("memory");
  const auto add = [&](Event&& event) { correlator.add(event); };
  ASSERT_TRUE(reader.feed(lines->text(), add));
  ASSERT_TRUE(reader.finish(add));
  correlator.finish();
  timelines.stats = correlator.stats();

  std::cout << evidence.answers.size() << " requests, " << evidence.accepted.size() << " connections, "
            << lines->records() << " records of the library, " << seen.size() << " of the kernel\n";
  EXPECT_GE(evidence.answers.size(), 200u);
  const auto found = mismatches(timelines, evidence, /*kernel=*/true);
  EXPECT_THAT(found, testing::IsEmpty()) << records_behind(found, lines->text() + as_lines(seen));

  const auto theirs =
      std::find_if(timelines.connections.begin(), timelines.connections.end(), [](const auto& connection) {
        return connection.direction == Direction::incoming && connection.closed &&
               connection.closed->how == CloseHow::reset;
      });
  ASSERT_NE(theirs, timelines.connections.end());
  theirs->closed->by = ClosedBy::local;
  EXPECT_THAT(mismatches(timelines, evidence, /*kernel=*/true), testing::SizeIs(testing::Ge(1u))) << "a lie";

  EXPECT_EQ(observed.delivered, seen.size());
  for (const agent::LossCounter& loss : observed.losses) EXPECT_EQ(loss.count, 0u) << loss.where;
  EXPECT_EQ(timelines.stats.records, lines->records() + seen.size());
  EXPECT_EQ(timelines.stats.used, timelines.stats.records);
  EXPECT_EQ(timelines.stats.lost, 0u);
  EXPECT_EQ(timelines.stats.late, 0u);
}

}  // namespace

/// Nothing if the programs can be loaded here, else why not.
std::string why_not() {
  const auto observer = agent::Observer::open(this_process(), [](const Event&) {});
  return observer ? "" : observer.error().message();
}

}  // namespace conntrace::test

int main(int argc, char** argv) {
  testing::InitGoogleMock(&argc, argv);
  if (const std::string reason = conntrace::test::why_not(); !reason.empty() && !std::getenv("CONNTRACE_REQUIRE_BPF")) {
    std::cerr << "skipped: " << reason << '\n';
    return conntrace::test::kSkip;
  }
  return RUN_ALL_TESTS();
}
