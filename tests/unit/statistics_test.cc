// SPDX-License-Identifier: Apache-2.0
#include "stats/statistics.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <random>

#include "stats/report_output.h"

namespace conntrace::cli {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

TEST(Distribution, OfNothingIsZero) {
  const Times times = Distribution().times();
  EXPECT_EQ(times.count, 0u);
  EXPECT_EQ(times.p99_ns, 0u);
  EXPECT_EQ(times.max_ns, 0u);
}

TEST(Distribution, SmallValuesAreExact) {
  Distribution values;
  for (std::uint64_t i = 1; i <= 100; ++i) values.add(i);
  const Times times = values.times();
  EXPECT_EQ(times.p50_ns, 50u);
  EXPECT_EQ(times.p90_ns, 90u);
  EXPECT_EQ(times.p99_ns, 99u);
  EXPECT_EQ(times.max_ns, 100u);
  EXPECT_EQ(times.sum_ns, 5050u);
}

// Against sorting, over all magnitudes.
TEST(Distribution, PercentilesAreNeverTooLowAndAtMostA128thTooHigh) {
  std::mt19937_64 random(1);
  for (int round = 0; round < 50; ++round) {
    Distribution values;
    std::vector<std::uint64_t> all;
    for (int i = 0; i < 200; ++i) {
      all.push_back(random() >> (random() % 64));
      values.add(all.back());
    }
    std::sort(all.begin(), all.end());
    for (const double part : {0.01, 0.5, 0.9, 0.99, 1.0}) {
      const std::uint64_t exact = all[static_cast<std::size_t>(std::ceil(part * 200)) - 1];
      const std::uint64_t said = values.percentile(part);
      EXPECT_GE(said, exact);
      EXPECT_LE(said - exact, exact / 128) << exact;
    }
  }
}

RequestTimeline request(const std::string& host, bool reused, std::uint64_t duration_ns) {
  RequestTimeline out;
  out.request.host = host;
  out.duration_ns = duration_ns;
  out.connection = RequestConnection{.number = 1, .reused = reused};
  return out;
}

PhaseTimeline wait(std::uint64_t duration_ns, std::vector<HolderShare> holders) {
  return {Phase::blocked, 0, duration_ns, BlockedFacts{.cause = "max_conns_per_host", .holders = std::move(holders)}};
}

TEST(Statistics, TellTimesByHostAndPhase) {
  Statistics statistics;
  RequestTimeline first = request("b:80", false, 100);
  first.phases = {{Phase::dns, 0, 40, {}}, {Phase::wait, 40, 60, {}}};
  first.connection->why_new = WhyNew::no_idle;
  statistics.add(first);
  RequestTimeline second = request("b:80", true, 200);
  second.connection->idle_ns = 3'000'000;
  statistics.add(second);
  RequestTimeline third = request("a:80", false, 7);
  third.error = RequestError{"refused", Phase::connect};
  third.complete = false;
  statistics.add(third);
  RequestTimeline nowhere;
  nowhere.error = RequestError{"no such name", Phase::dns};
  statistics.add(nowhere);

  const StatsReport report = statistics.report();
  EXPECT_EQ(report.requests, 4u);
  EXPECT_EQ(report.failed, 2u);
  EXPECT_EQ(report.incomplete, 1u);
  EXPECT_EQ(report.reused, 1u);
  EXPECT_EQ(report.fresh, 2u);
  EXPECT_DOUBLE_EQ(report.reuse_ratio.value(), 1.0 / 3);
  ASSERT_EQ(report.phases.size(), 3u);
  EXPECT_EQ(report.phases[0].phase, "total");
  EXPECT_EQ(report.phases[0].times.max_ns, 200u);
  EXPECT_EQ(report.phases[1].phase, "dns");
  EXPECT_EQ(report.phases[2].phase, "wait");
  ASSERT_EQ(report.hosts.size(), 2u);
  EXPECT_EQ(report.hosts[0].host, "b:80");
  EXPECT_EQ(report.hosts[0].phases[1].times.p50_ns, 40u);
  EXPECT_EQ(report.hosts[1].failed, 1u);
  ASSERT_EQ(report.idle_before_reuse.size(), 1u);
  EXPECT_EQ(report.idle_before_reuse[0].up_to_ns, 10'000'000u);
  ASSERT_EQ(report.why_new.size(), 1u);
  EXPECT_EQ(report.why_new[0].word, "no_idle");
}

TEST(Statistics, NameThoseWhoHeldTheSlots) {
  Statistics statistics;
  RequestTimeline waited = request("a:80", true, 1000);
  waited.phases = {wait(1000, {{"p/1", 1, Phase::wait, 0.75}, {std::nullopt, 2, Phase::none, 0.25}})};
  statistics.add(waited);
  waited.phases = {wait(200, {{"p/2", 2, Phase::wait, 0.5}, {"p/1", 1, Phase::wait, 0.5}})};
  statistics.add(waited);
  const StatsReport report = statistics.report();
  ASSERT_EQ(report.queue.size(), 1u);
  EXPECT_EQ(report.queue[0].cause, "max_conns_per_host");
  EXPECT_EQ(report.queue[0].times.sum_ns, 1200u);
  ASSERT_EQ(report.holders.size(), 2u);
  EXPECT_EQ(report.holders[0].request, "p/1");
  EXPECT_EQ(report.holders[0].held_up, 2u);
  EXPECT_EQ(report.holders[0].waited_ns, 850u);
  EXPECT_TRUE(report.holders_exact);
}

TEST(Statistics, ForgetSmallHoldersAndSaySo) {
  Statistics statistics;
  RequestTimeline waited = request("a:80", true, 1);
  for (int i = 0; i < 25'000; ++i) {
    const bool large = i == 3;
    waited.phases = {wait(large ? 1'000'000 : 1000, {{"p/" + std::to_string(i), 1, Phase::wait, 1}})};
    statistics.add(waited);
  }
  const StatsReport report = statistics.report();
  EXPECT_FALSE(report.holders_exact);
  ASSERT_FALSE(report.holders.empty());
  EXPECT_EQ(report.holders[0].request, "p/3");
}

TEST(Statistics, HostsBeyondTheFirstThousandAreTogether) {
  Statistics statistics;
  for (int i = 0; i < 1500; ++i) statistics.add(request("host" + std::to_string(i), false, 1));
  const StatsReport report = statistics.report();
  EXPECT_EQ(report.hosts.size(), 1001u);
  EXPECT_EQ(report.hosts[0].host, "(others)");
  EXPECT_EQ(report.hosts[0].requests, 500u);
}

TEST(Statistics, CountClosesAndIdleGapsOfConnectionsOnce) {
  Statistics statistics;
  ConnectionTimeline of_library;
  of_library.requests = 2;
  of_library.idle_gaps = {{0, 5}};
  of_library.closed = ClosedFacts{.reason = CloseReason::idle_timeout, .by = ClosedBy::local, .how = CloseHow::fin};
  statistics.add(of_library);
  statistics.add(of_library);
  ConnectionTimeline other;
  other.idle_gaps = {{0, 400'000'000'000}};
  statistics.add(other);
  const StatsReport report = statistics.report();
  EXPECT_EQ(report.connections, 3u);
  EXPECT_EQ(report.still_open, 1u);
  ASSERT_EQ(report.closes.size(), 1u);
  EXPECT_EQ(report.closes[0].count, 2u);
  ASSERT_EQ(report.idle_before_reuse.size(), 1u);
  EXPECT_EQ(report.idle_before_reuse[0].up_to_ns, std::nullopt);
}

TEST(Statistics, AreShownToPeople) {
  Statistics statistics;
  RequestTimeline waited = request("a:80", true, 2'000'000);
  waited.phases = {wait(1'000'000, {{"p/1", 1, Phase::wait, 1}})};
  waited.findings = {{"queued_behind_limit", Severity::warning, ""}};
  statistics.add(waited);
  std::string text;
  render(statistics.report(), {.width = 100}, text);
  EXPECT_THAT(text, HasSubstr("reuse                 1 of 1 on a used connection (100.0 %)"));
  EXPECT_THAT(text, HasSubstr("  total                       1   2.00 ms   2.00 ms   2.00 ms   2.00 ms   2.00 ms"));
  EXPECT_THAT(text, HasSubstr("Waited for"));
  EXPECT_THAT(text, HasSubstr("  1.00 ms             of the wait of 1 request: p/1"));
  EXPECT_THAT(text, HasSubstr("queued_behind_limit 1"));
  EXPECT_THAT(text, Not(HasSubstr("a:80"))) << "one host is all hosts";
}

TEST(Statistics, OfNothingAreShown) {
  std::string text;
  render(Statistics().report(), {.width = 100}, text);
  EXPECT_EQ(text,
            "requests              0: 0 ok, 0 failed\n"
            "connections           0: 0 closed, 0 not seen to close\n");
  EXPECT_THAT(to_json_line(Statistics().report()), HasSubstr("\"reuse_ratio\":null"));
}

}  // namespace
}  // namespace conntrace::cli
