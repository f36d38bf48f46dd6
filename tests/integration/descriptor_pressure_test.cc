// SPDX-License-Identifier: Apache-2.0
// What becomes of requests when the process runs out of descriptors: a real RLIMIT_NOFILE, real sockets.
#include <dirent.h>
#include <fcntl.h>
#include <sys/resource.h>

#include <thread>

#include "base/owned.h"
#include "integration/transport_fixture.h"
#include "support/server_process.h"

namespace conntrace::test {
namespace {

using std::chrono::milliseconds;

/// Lets this process open so many more descriptors, and no more.
class FewDescriptors {
 public:
  explicit FewDescriptors(unsigned more) {
    EXPECT_EQ(getrlimit(RLIMIT_NOFILE, &before_), 0);
    std::vector<UniqueFd> taken;
    for (unsigned i = 0; i <= more; ++i) taken.emplace_back(fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 0));
    rlimit low = before_;
    low.rlim_cur = static_cast<rlim_t>(taken.back().get());  // the lowest number that is free after so many
    EXPECT_EQ(setrlimit(RLIMIT_NOFILE, &low), 0);
  }
  ~FewDescriptors() { setrlimit(RLIMIT_NOFILE, &before_); }
  FewDescriptors(const FewDescriptors&) = delete;
  FewDescriptors& operator=(const FewDescriptors&) = delete;

 private:
  rlimit before_{};
};

std::size_t open_descriptors() {
  const Owned<DIR, closedir> directory(opendir("/proc/self/fd"));
  std::size_t count = 0;
  while (const dirent* entry = readdir(directory.get())) count += entry->d_name[0] != '.' ? 1 : 0;
  return count - 1;  // its own
}

class DescriptorPressure : public TransportTest {
 protected:
  [[nodiscard]] std::vector<CloseReason> close_reasons() const {
    std::vector<CloseReason> reasons;
    for (const ConnClosedInfo& closed : hooks_.all<EventKind::conn_closed>()) reasons.push_back(closed.reason);
    return reasons;
  }
  // Their processes must be made before the transport's thread.
  ServerProcess a_;
  ServerProcess b_;
  ServerProcess c_;
};

TEST_F(DescriptorPressure, IdleConnectionsOfOtherHostsMakeRoom) {
  Client& client = use();
  const FewDescriptors two(2);
  ASSERT_TRUE(client.get(a_.url()));
  ASSERT_TRUE(client.get(b_.url()));
  const auto third = client.get(c_.url());
  ASSERT_TRUE(third) << third.error().message();
  const std::vector<CloseReason> both(2, CloseReason::fd_pressure);
  EXPECT_EQ(close_reasons(), both);
  const auto pressure = hooks_.all<EventKind::fd_pressure>(3);
  ASSERT_EQ(pressure.size(), 1u);
  EXPECT_EQ(pressure[0].error_number, EMFILE);
  EXPECT_EQ(pressure[0].freed, 2u);
  EXPECT_GE(pressure[0].open, pressure[0].soft_limit) << "some may have been open above the limit before";
  const auto why = hooks_.all<EventKind::why_new>(3);
  ASSERT_EQ(why.size(), 2u) << "two dials, each a connection of its own";
  EXPECT_EQ(why[0].reason, WhyNew::no_idle);
  EXPECT_EQ(why[1].reason, WhyNew::no_idle);
  EXPECT_EQ(hooks_.count(EventKind::queue_enter), 0u);
  ASSERT_TRUE(client.get(a_.url()));
  EXPECT_EQ(hooks_.all<EventKind::why_new>(4).at(0).reason, WhyNew::fd_pressure);
  const PoolSnapshot pool = transport_->pool_snapshot();
  EXPECT_EQ(pool.closed_for(CloseReason::fd_pressure), 2u);
  EXPECT_EQ(pool.closed_for(CloseReason::dial_failed), 1u);
}

TEST_F(DescriptorPressure, WithNothingIdleARequestWaitsUntilAConnectionIsClosed) {
  Client& client = use();
  const FewDescriptors one(1);
  auto first = client.send_async(Request{.url = a_.url("/held")});
  ASSERT_TRUE(hooks_.wait_for_count(EventKind::wrote_request, 1));
  auto second = client.send_async(Request{.url = b_.url()});
  ASSERT_TRUE(hooks_.wait_for_count(EventKind::queue_enter, 1));
  EXPECT_EQ(transport_->pool_snapshot().waiting, 1u);
  a_.release();
  ASSERT_TRUE(first.get());
  ASSERT_TRUE(second.get());

  const auto enter = hooks_.all<EventKind::queue_enter>(2).at(0);
  EXPECT_EQ(enter.limit, Limit::fd_limit);
  rlimit limit{};
  ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &limit), 0);
  EXPECT_EQ(enter.limit_value, limit.rlim_cur);
  ASSERT_EQ(enter.holders.size(), 1u);
  EXPECT_EQ(enter.holders[0].request, 1u);
  EXPECT_EQ(enter.holders[0].doing, Phase::wait);
  const auto leaves = hooks_.all<EventKind::queue_leave>(2);
  EXPECT_EQ(leaves.back().outcome, QueueOutcome::slot_freed);
  EXPECT_EQ(leaves.back().released_by, 1u);
  ASSERT_EQ(leaves.back().holders.size(), 1u);
  EXPECT_DOUBLE_EQ(leaves.back().holders[0].share, 1.0);
  EXPECT_EQ(hooks_.all<EventKind::put_idle_conn>(1).at(0).error, "fd_pressure");
}

TEST_F(DescriptorPressure, AWaitingRequestTakesAConnectionOfItsHostThatComesBack) {
  Client& client = use();
  const FewDescriptors one(1);
  auto first = client.send_async(Request{.url = a_.url("/held")});
  ASSERT_TRUE(hooks_.wait_for_count(EventKind::wrote_request, 1));
  auto second = client.send_async(Request{.url = a_.url()});
  ASSERT_TRUE(hooks_.wait_for_count(EventKind::queue_enter, 1));
  a_.release();
  ASSERT_TRUE(first.get());
  ASSERT_TRUE(second.get());
  EXPECT_EQ(hooks_.all<EventKind::put_idle_conn>(1).at(0).handed_to, 2u);
  EXPECT_EQ(hooks_.count(EventKind::conn_closed), 0u);
}

TEST_F(DescriptorPressure, AWaitingRequestIsNotServedAfterItsDeadline) {
  Client& client = use();
  const FewDescriptors none(0);
  const auto result = client.send(Request{.url = a_.url(), .timeout = milliseconds(50)});
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code, make_error_code(Errc::timeout));
  EXPECT_EQ(result.error().phase, Phase::blocked);
  const auto leaves = hooks_.all<EventKind::queue_leave>();
  EXPECT_EQ(leaves.back().outcome, QueueOutcome::timeout);
  EXPECT_EQ(leaves.back().others_share, 1.0) << "others have the descriptors";
}

TEST_F(DescriptorPressure, WhatTheApplicationClosesIsFound) {
  Client& client = use();
  std::optional<FewDescriptors> none(std::in_place, 0u);
  auto waiting = client.send_async(Request{.url = a_.url()});
  ASSERT_TRUE(hooks_.wait_for_count(EventKind::queue_enter, 1));
  none.reset();
  const auto result = waiting.get();
  ASSERT_TRUE(result) << result.error().message();
}

TEST_F(DescriptorPressure, TheReserveIsLeftToTheApplication) {
  const std::size_t before = open_descriptors();
  std::size_t own = 0;
  {
    const Transport other;
    own = open_descriptors() - before;
  }
  rlimit limit{};
  ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &limit), 0);
  // Room for one connection.
  Client& client = use({.fd_reserve = limit.rlim_cur - before - own - 1});
  ASSERT_TRUE(client.get(a_.url()));
  EXPECT_EQ(hooks_.count(EventKind::fd_pressure), 0u);
  ASSERT_TRUE(client.get(b_.url()));
  EXPECT_EQ(hooks_.count(EventKind::fd_pressure), 1u);
  EXPECT_EQ(close_reason(), CloseReason::fd_pressure);
  EXPECT_TRUE(
      hooks_.sequence(2).starts_with("request_start get_conn why_new dial_done fd_pressure why_new connect_start "));
  const auto dial = hooks_.all<EventKind::dial_done>(2).at(0);
  EXPECT_NE(dial.error.find("fd_reserve"), Text::npos) << dial.error;
}

TEST_F(DescriptorPressure, NoRequestFailsThatCouldBeServed) {
  Client& client = use({.max_idle_conns_per_host = 4});
  const FewDescriptors three(3);
  std::atomic<int> good = 0;
  std::vector<std::thread> threads;
  for (int i = 0; i < 6; ++i) {
    threads.emplace_back([&, i] {
      const ServerProcess* servers[] = {&a_, &b_, &c_};
      for (int n = 0; n < 30; ++n) {
        const auto result = client.get(servers[(i + n) % 3]->url());
        good += result ? 1 : 0;
        if (!result) ADD_FAILURE() << result.error().message();
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(good, 180);
  const PoolSnapshot pool = transport_->pool_snapshot();
  EXPECT_EQ(pool.dials, pool.closed + pool.open);
  EXPECT_EQ(pool.waiting, 0u);
  EXPECT_EQ(hooks_.count(EventKind::queue_enter), pool.queue_enters);
  EXPECT_EQ(hooks_.count(EventKind::queue_leave), pool.queue_leaves);
  EXPECT_EQ(hooks_.count(EventKind::conn_closed) + pool.closed_for(CloseReason::dial_failed), pool.closed);
  for (const auto& leave : hooks_.all<EventKind::queue_leave>()) {
    double sum = leave.others_share;
    for (const Holder& holder : leave.holders) sum += holder.share;
    EXPECT_NEAR(sum, 1.0, 1e-9);
  }
}

}  // namespace
}  // namespace conntrace::test
