// SPDX-License-Identifier: Apache-2.0
// Every folder here is a case: in.jsonl (event records) and out.json (the timelines and what happened to the records).
// CONNTRACE_ACCEPT=1 rewrites out.json.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <random>
#include <sstream>

#include "render/json.h"
#include "render/waterfall.h"
#include "sources/record_reader.h"
#include "timeline/correlator.h"
#include "timeline/timeline_reader.h"

namespace conntrace::cli {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

fs::path golden_folder() {
  const char* folder = std::getenv("CONNTRACE_GOLDEN");
  return folder != nullptr ? folder : "tests/golden";
}

std::vector<std::string> cases() {
  std::vector<std::string> out;
  for (const auto& entry : fs::directory_iterator(golden_folder())) {
    if (fs::exists(entry.path() / "in.jsonl")) out.push_back(entry.path().filename());
  }
  std::ranges::sort(out);
  return out;
}

std::string content_of(const fs::path& path) {
  std::ifstream file(path);
  std::stringstream out;
  out << file.rdbuf();
  return out.str();
}

std::vector<Event> events_of(const std::string& name) {
  std::vector<Event> out;
  const auto keep = [&](Event&& event) { out.push_back(std::move(event)); };
  RecordReader reader(name);
  EXPECT_TRUE(reader.feed(content_of(golden_folder() / name / "in.jsonl"), keep));
  EXPECT_TRUE(reader.finish(keep));
  EXPECT_EQ(reader.stats().malformed, 0u);
  return out;
}

struct Output {
  std::vector<std::string> lines;
  std::vector<RequestTimeline> requests;
  CorrelatorStats stats;
};

Output correlate(const std::vector<Event>& events) {
  Output out;
  TimelineSink sink;
  sink.request = [&](const RequestTimeline& timeline) {
    out.lines.push_back(to_json_line(timeline));
    out.requests.push_back(timeline);
  };
  sink.connection = [&](const ConnectionTimeline& timeline) { out.lines.push_back(to_json_line(timeline)); };
  sink.process = [&](const ProcessTimeline& timeline) { out.lines.push_back(to_json_line(timeline)); };
  Correlator correlator({}, sink);
  for (const Event& event : events) correlator.add(event);
  correlator.finish();
  out.stats = correlator.stats();
  return out;
}

Json document_of(const Output& output) {
  const CorrelatorStats& stats = output.stats;
  Json out = {{"records",
               {{"records", stats.records},
                {"used", stats.used},
                {"unknown", stats.unknown},
                {"unmatched", stats.unmatched},
                {"late", stats.late},
                {"lost", stats.lost}}},
              {"timelines", Json::array()}};
  for (const std::string& line : output.lines) out["timelines"].push_back(Json::parse(line));
  return out;
}

class Golden : public testing::TestWithParam<std::string> {};
INSTANTIATE_TEST_SUITE_P(Cases, Golden, testing::ValuesIn(cases()), [](const auto& test) { return test.param; });

TEST_P(Golden, gives_the_expected_timelines) {
  const fs::path path = golden_folder() / GetParam() / "out.json";
  const Json actual = document_of(correlate(events_of(GetParam())));
  if (std::getenv("CONNTRACE_ACCEPT") != nullptr) {
    std::ofstream(path) << actual.dump(1) << '\n';
    GTEST_SKIP() << "rewritten: " << path;
  }
  // Compared as text of parsed JSON: the order of keys is part of the contract.
  EXPECT_EQ(Json::parse(content_of(path)).dump(1), actual.dump(1));
}

TEST_P(Golden, accounts_for_every_record) {
  const std::vector<Event> events = events_of(GetParam());
  const CorrelatorStats stats = correlate(events).stats;
  EXPECT_EQ(stats.records, events.size());
  EXPECT_EQ(stats.used + stats.unknown + stats.unmatched, stats.records);
}

TEST_P(Golden, order_of_arrival_within_the_window_does_not_matter) {
  const std::vector<Event> events = events_of(GetParam());
  const Output expected = correlate(events);
  std::mt19937_64 random(20260102);
  for (int round = 0; round < 20; ++round) {
    const auto window = static_cast<std::uint64_t>(CorrelatorOptions{}.window.count());
    std::vector<std::pair<std::uint64_t, Event>> arrivals;
    for (const Event& event : events) arrivals.emplace_back(event.header.mono_ns + random() % window, event);
    std::ranges::stable_sort(arrivals, {}, [](const auto& arrival) { return arrival.first; });
    std::vector<Event> shuffled;
    for (auto& [at, event] : arrivals) shuffled.push_back(event);
    const Output output = correlate(shuffled);
    ASSERT_EQ(output.stats.late, 0u);
    ASSERT_EQ(output.lines, expected.lines) << "round " << round;
  }
}

void expect_phases_in_order(const Output& output) {
  for (const RequestTimeline& request : output.requests) {
    std::uint64_t free_ns = 0;
    for (const PhaseTimeline& phase : request.phases) {
      EXPECT_GE(phase.start_ns, free_ns) << request.id << ' ' << to_string(phase.name);
      free_ns = phase.end_ns();
      EXPECT_LE(free_ns, request.duration_ns) << request.id << ' ' << to_string(phase.name);
    }
  }
}

TEST_P(Golden, phases_are_in_order_and_within_the_request) { expect_phases_in_order(correlate(events_of(GetParam()))); }

TEST_P(Golden, two_readers_of_one_process_are_one) {
  const std::vector<Event> events = events_of(GetParam());
  std::vector<Event> twice;
  for (const Event& event : events) {
    twice.push_back(event);
    // A second tap repeats what the library says, but for the losses, which are each reader's own.
    const bool own = event.known() && (event.kind() == EventKind::gap || event.kind() == EventKind::stream_end);
    if (event.header.source == Source::hook && !own) twice.push_back(event);
  }
  EXPECT_EQ(correlate(twice).lines, correlate(events).lines);
}

TEST_P(Golden, whatever_is_missing_or_out_of_order_breaks_no_rule) {
  const std::vector<Event> events = events_of(GetParam());
  std::mt19937_64 random(20260103);
  for (int round = 0; round < 200 && !HasFailure(); ++round) {
    std::vector<Event> some;
    for (const Event& event : events) {
      if (random() % 5 == 0) continue;
      some.push_back(event);
      if (random() % 50 == 0) some.back().header.mono_ns = random();
      if (random() % 20 == 0) some.back().header.mono_ns -= random() % 1'000'000'000;
    }
    if (round % 2 == 0) std::ranges::shuffle(some, random);
    const Output output = correlate(some);
    EXPECT_EQ(output.stats.used + output.stats.unknown + output.stats.unmatched, some.size());
    expect_phases_in_order(output);
    for (const std::string& line : output.lines) {
      const auto timeline = read_timeline(line);
      ASSERT_TRUE(timeline) << timeline.error().message();
      std::string text;
      std::visit([&](const auto& read) { render(read, {}, text); }, *timeline);
      EXPECT_FALSE(text.empty());
    }
  }
}

TEST_P(Golden, lines_are_read_back_as_they_were) {
  for (const std::string& line : correlate(events_of(GetParam())).lines) {
    EXPECT_LT(line.size(), 8192u);
    const auto timeline = read_timeline(line);
    ASSERT_TRUE(timeline) << timeline.error().message();
    EXPECT_EQ(std::visit([](const auto& read) { return to_json_line(read); }, *timeline), line);
  }
}

}  // namespace
}  // namespace conntrace::cli
