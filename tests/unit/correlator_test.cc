// SPDX-License-Identifier: Apache-2.0
// Whole cases are in tests/golden; here is what time, lateness and identity do.
#include "timeline/correlator.h"

#include <gtest/gtest.h>

namespace conntrace::cli {
namespace {

constexpr std::uint64_t kMs = 1'000'000;

class CorrelatorTest : public testing::Test {
 protected:
  CorrelatorTest() : correlator_({}, sink()) {}

  TimelineSink sink() {
    TimelineSink out;
    out.request = [this](const RequestTimeline& timeline) { requests_.push_back(timeline); };
    out.connection = [this](const ConnectionTimeline& timeline) { connections_.push_back(timeline); };
    out.process = [this](const ProcessTimeline& timeline) { processes_.push_back(timeline); };
    return out;
  }

  template <EventKind kind>
  void add(EventHeader header, PayloadOf<kind> payload = {}) {
    correlator_.add(make_event<kind>(header, payload));
  }

  void start_stream(std::uint64_t at_ns, Text boot_id = "aaaaaaaa-1", std::uint32_t pid = 42) {
    add<EventKind::stream_start>(
        {.mono_ns = at_ns, .pid = pid, .start_time_ns = 7},
        {.schema = "conntrace.event/1", .wall_time = "2026-01-02T03:04:05Z", .boot_id = boot_id});
  }
  void request(std::uint64_t at_ns, std::uint64_t number, std::uint32_t pid = 42) {
    add<EventKind::request_start>({.mono_ns = at_ns, .pid = pid, .request = number, .attempt = 1}, {.method = "GET"});
    add<EventKind::request_done>({.mono_ns = at_ns + kMs, .pid = pid, .request = number, .attempt = 1},
                                 {.status = 200});
  }
  void expect_balance() {
    const CorrelatorStats stats = correlator_.stats();
    EXPECT_EQ(stats.used + stats.unknown + stats.unmatched, stats.records);
  }

  std::vector<RequestTimeline> requests_;
  std::vector<ConnectionTimeline> connections_;
  std::vector<ProcessTimeline> processes_;
  Correlator correlator_;
};

TEST_F(CorrelatorTest, gives_a_request_out_when_time_has_passed_without_records) {
  start_stream(1000 * kMs);
  request(1010 * kMs, 1);
  EXPECT_TRUE(requests_.empty());
  correlator_.advance(1012 * kMs);
  EXPECT_TRUE(requests_.empty());
  correlator_.advance(1300 * kMs);
  ASSERT_EQ(requests_.size(), 1u);
  EXPECT_EQ(requests_[0].id, "aaaaaaaa-42-7/1");
  EXPECT_EQ(requests_[0].time, "2026-01-02T03:04:05.010000000Z");
  correlator_.finish();
  EXPECT_EQ(requests_.size(), 1u);
  expect_balance();
}

TEST_F(CorrelatorTest, uses_late_records_and_counts_them) {
  start_stream(1000 * kMs);
  request(1010 * kMs, 1);
  add<EventKind::get_conn>({.mono_ns = 2000 * kMs, .pid = 42, .request = 2, .attempt = 1});
  add<EventKind::request_start>({.mono_ns = 1500 * kMs, .pid = 42, .request = 3, .attempt = 1}, {.method = "PUT"});
  add<EventKind::get_conn>({.mono_ns = 1005 * kMs, .pid = 42, .request = 4, .attempt = 1});
  correlator_.finish();
  EXPECT_EQ(correlator_.stats().late, 1u);
  ASSERT_EQ(requests_.size(), 4u);
  EXPECT_EQ(requests_.back().request.number, 2u);
  expect_balance();
}

TEST_F(CorrelatorTest, keeps_boots_apart) {
  start_stream(9000 * kMs, "aaaaaaaa-1");
  request(9010 * kMs, 1);
  start_stream(100 * kMs, "bbbbbbbb-2");
  request(110 * kMs, 1);
  correlator_.finish();
  ASSERT_EQ(requests_.size(), 2u);
  EXPECT_EQ(requests_[0].id, "aaaaaaaa-42-7/1");
  EXPECT_EQ(requests_[1].id, "bbbbbbbb-42-7/1");
  EXPECT_EQ(correlator_.stats().late, 0u);
  expect_balance();
}

TEST_F(CorrelatorTest, joins_by_cookie_alone_only_if_that_is_unambiguous) {
  start_stream(1000 * kMs);
  const auto kernel = [](std::uint64_t at, std::uint64_t netns) {
    return EventHeader{
        .mono_ns = at, .source = Source::kernel, .pid = 42, .start_time_ns = 7, .cookie = 5, .netns = netns};
  };
  add<EventKind::tcp_connect>(kernel(1001 * kMs, 111), {.remote = "10.0.0.1:80"});
  add<EventKind::tcp_connect>(kernel(1002 * kMs, 222), {.remote = "10.0.0.2:80"});
  add<EventKind::tcp_retransmit>(kernel(1003 * kMs, 0), {.state = TcpState::ESTABLISHED});  // whose?
  correlator_.finish();
  ASSERT_EQ(connections_.size(), 2u);
  EXPECT_EQ(connections_[0].retransmits, 0u);
  EXPECT_EQ(connections_[1].retransmits, 0u);
  EXPECT_EQ(correlator_.stats().unmatched, 1u);
  expect_balance();
}

TEST_F(CorrelatorTest, learns_the_namespace_from_the_side_that_knows_it) {
  start_stream(1000 * kMs);
  add<EventKind::connect_start>({.mono_ns = 1001 * kMs, .pid = 42, .request = 1, .connection = 3, .cookie = 5},
                                {.network = "tcp4", .address = "10.0.0.1:80"});
  add<EventKind::tcp_connect>(
      {.mono_ns = 1002 * kMs, .source = Source::kernel, .pid = 42, .start_time_ns = 7, .cookie = 5, .netns = 111},
      {.remote = "10.0.0.1:80"});
  correlator_.finish();
  ASSERT_EQ(connections_.size(), 1u);
  EXPECT_EQ(connections_[0].id, "aaaaaaaa-111-5");
  EXPECT_EQ(connections_[0].number, 3u);
  EXPECT_EQ(connections_[0].sources, (std::vector{Source::hook, Source::kernel}));
}

TEST_F(CorrelatorTest, numbers_that_begin_again_are_another_request) {
  start_stream(1000 * kMs);
  request(1010 * kMs, 1);
  request(1020 * kMs, 1);  // a second transport of the same process
  correlator_.finish();
  ASSERT_EQ(requests_.size(), 2u);
  EXPECT_EQ(requests_[0].start_mono_ns, 1010 * kMs);
  EXPECT_EQ(requests_[1].start_mono_ns, 1020 * kMs);
  EXPECT_TRUE(requests_[0].complete && requests_[1].complete);
}

TEST_F(CorrelatorTest, a_kernel_loss_makes_what_it_may_concern_incomplete) {
  start_stream(1000 * kMs);
  request(1010 * kMs, 1);
  request(5000 * kMs, 2);
  add<EventKind::gap>({.mono_ns = 5050 * kMs, .source = Source::kernel}, {.lost = 9, .reason = GapReason::ring_full});
  correlator_.finish();
  ASSERT_EQ(requests_.size(), 2u);
  EXPECT_TRUE(requests_[0].complete);
  EXPECT_FALSE(requests_[1].complete);
  EXPECT_EQ(correlator_.stats().lost, 9u);
}

TEST_F(CorrelatorTest, destroying_it_unfinished_is_no_leak) {
  start_stream(1000 * kMs);
  add<EventKind::get_conn>({.mono_ns = 1001 * kMs, .pid = 42, .request = 1, .attempt = 1});
  add<EventKind::connect_start>({.mono_ns = 1002 * kMs, .pid = 42, .request = 1, .connection = 1, .cookie = 5},
                                {.address = "10.0.0.1:80"});
  correlator_.advance(9000 * kMs);  // ASan looks
}

}  // namespace
}  // namespace conntrace::cli
