// SPDX-License-Identifier: Apache-2.0
#include "conntrace/rate_limiter.h"

#include <gtest/gtest.h>

#include <atomic>
#include <thread>
#include <vector>

#include "support/fake_clock.h"

namespace conntrace {
namespace {

using namespace std::chrono_literals;
using testing::FakeClock;

/// The tables tell time in tenths of a second from the beginning. Their cases are those of x/time/rate's own tests.
constexpr std::chrono::nanoseconds kTick = 100ms;
constexpr int kRefused = -1;

struct RateLimiterTest : ::testing::Test {
  FakeClock clock;
  const MonoTime start = clock.now();

  void at(int tick) { clock.advance(start + tick * kTick - clock.now()); }
  /// Reserves at a moment; says to act when, in ticks, rounded.
  RateLimiter::Reservation reserve(RateLimiter& limiter, int tick, std::size_t n, int expected,
                                   std::chrono::nanoseconds at_most = MonoTime::max()) {
    at(tick);
    auto reservation = limiter.reserve(n, at_most);
    const auto acts = reservation.ok() ? (reservation.time_to_act() - start + kTick / 2) / kTick : kRefused;
    EXPECT_EQ(acts, expected) << n << " at tick " << tick;
    return reservation;
  }
  struct Step {
    int tick;
    std::size_t n;
    bool allowed;
  };
  void allow(RateLimiter& limiter, const std::vector<Step>& steps) {
    for (const Step& step : steps) {
      at(step.tick);
      EXPECT_EQ(limiter.allow(step.n), step.allowed) << step.n << " at tick " << step.tick;
    }
  }
};

TEST_F(RateLimiterTest, EveryIntervalOneEvent) {
  EXPECT_EQ(RateLimit::every(0ns), RateLimit::kUnlimited);
  EXPECT_EQ(RateLimit::every(-1ns), RateLimit::kUnlimited);
  EXPECT_DOUBLE_EQ(RateLimit::every(1ns), 1e9);
  EXPECT_DOUBLE_EQ(RateLimit::every(10ms), 100);
  EXPECT_DOUBLE_EQ(RateLimit::every(2500ms), 0.4);
  EXPECT_DOUBLE_EQ(RateLimit::every(std::chrono::nanoseconds::max()), 1e9 / 9223372036854775807.0);
}

TEST_F(RateLimiterTest, ABurstOfOne) {
  RateLimiter limiter({10, 1}, clock);
  allow(limiter, {{0, 1, true},
                  {0, 1, false},
                  {0, 1, false},
                  {1, 1, true},
                  {1, 1, false},
                  {1, 1, false},
                  {2, 2, false},
                  {2, 1, true},
                  {2, 1, false}});
}

TEST_F(RateLimiterTest, ABurstOfThree) {
  RateLimiter limiter({10, 3}, clock);
  allow(limiter, {{0, 2, true},
                  {0, 2, false},
                  {0, 1, true},
                  {0, 1, false},
                  {1, 4, false},
                  {2, 1, true},
                  {3, 1, true},
                  {4, 1, true},
                  {4, 1, true},
                  {4, 1, false},
                  {4, 1, false},
                  {9, 3, true},
                  {9, 0, true}});
}

TEST_F(RateLimiterTest, ALimitOfZeroSpendsItsBurstAndNothingMore) {
  RateLimiter limiter({0, 1}, clock);
  allow(limiter, {{0, 1, true}, {0, 1, false}, {1000, 1, false}});
  EXPECT_FALSE(limiter.reserve().ok()) << "it would never be granted";
  EXPECT_EQ(limiter.reserve().time_to_act(), MonoTime::max());
  EXPECT_EQ(limiter.reserve().delay(), MonoTime::max());
  RateLimiter nothing({0, 0}, clock);
  EXPECT_FALSE(nothing.allow());
  EXPECT_TRUE(nothing.allow(0));
}

TEST_F(RateLimiterTest, WithoutLimitTheBurstIsIgnored) {
  RateLimiter limiter({RateLimit::kUnlimited, 0}, clock);
  EXPECT_TRUE(limiter.allow(1000));
  EXPECT_TRUE(limiter.wait(1000));
  auto reservation = limiter.reserve(1000);
  EXPECT_EQ(reservation.delay(), 0ns);
  limiter.set_burst(10);
  limiter.set_limit(10);
  reservation.cancel();  // nothing was taken, nothing is given back
  EXPECT_LE(limiter.tokens(), 10);
}

TEST_F(RateLimiterTest, AThirdOfASecondIsNotLostToRounding) {
  RateLimiter limiter({0.7692307692307693, 1}, clock);  // 1 / 1.3 s
  EXPECT_TRUE(limiter.allow());
  clock.advance(1300ms);
  EXPECT_TRUE(limiter.allow());
  RateLimiter thirds({3, 1}, clock);
  EXPECT_TRUE(thirds.allow());
  for (int i = 0; i < 3000; ++i) {
    const auto reservation = thirds.reserve();
    ASSERT_TRUE(reservation.ok());
    clock.advance(reservation.delay());
  }
  EXPECT_NEAR(std::chrono::duration<double>(clock.now() - start).count(), 1.3 + 1000, 1e-6);
}

TEST_F(RateLimiterTest, ReservesTheFuture) {
  RateLimiter limiter({10, 2}, clock);
  (void)reserve(limiter, 0, 2, 0);
  (void)reserve(limiter, 0, 2, 2);
  (void)reserve(limiter, 3, 2, 4);
}

TEST_F(RateLimiterTest, AllowAndReserveShareTheBucket) {
  RateLimiter limiter({10, 2}, clock);
  (void)reserve(limiter, 0, 3, kRefused);
  (void)reserve(limiter, 0, 2, 0);
  allow(limiter, {{1, 2, false}});
  (void)reserve(limiter, 1, 2, 2);
  allow(limiter, {{1, 1, false}, {3, 1, true}});
}

TEST_F(RateLimiterTest, CancellingARefusedReservationChangesNothing) {
  RateLimiter limiter({10, 2}, clock);
  (void)reserve(limiter, 0, 2, 0);
  reserve(limiter, 0, 3, kRefused).cancel();
  (void)reserve(limiter, 0, 2, 2);
}

TEST_F(RateLimiterTest, CancellingTheLastGivesAllBack) {
  RateLimiter limiter({10, 2}, clock);
  (void)reserve(limiter, 0, 2, 0);
  auto last = reserve(limiter, 0, 2, 2);
  at(1);
  last.cancel();
  (void)reserve(limiter, 1, 2, 2);
}

TEST_F(RateLimiterTest, CancellingTwiceGivesBackOnce) {
  RateLimiter limiter({10, 2}, clock);
  (void)reserve(limiter, 0, 2, 0);
  auto last = reserve(limiter, 0, 2, 2);
  last.cancel();
  EXPECT_FALSE(last.ok());
  last.cancel();
  (void)reserve(limiter, 0, 2, 2);
}

TEST_F(RateLimiterTest, CancellingTooLateGivesNothingBack) {
  RateLimiter limiter({10, 2}, clock);
  (void)reserve(limiter, 0, 2, 0);
  auto last = reserve(limiter, 0, 2, 2);
  at(3);
  last.cancel();
  (void)reserve(limiter, 3, 2, 4);
}

TEST_F(RateLimiterTest, WhatWasReservedLaterIsNotGivenBack) {
  RateLimiter limiter({10, 2}, clock);
  (void)reserve(limiter, 0, 2, 0);
  auto one = reserve(limiter, 0, 1, 1);
  (void)reserve(limiter, 0, 1, 2);
  one.cancel();  // 1 - 1: nothing
  (void)reserve(limiter, 0, 1, 3);

  RateLimiter other({10, 2}, clock);
  (void)reserve(other, 0, 2, 0);
  auto two = reserve(other, 0, 2, 2);
  (void)reserve(other, 0, 1, 3);
  at(2);
  two.cancel();  // 2 - 1
  (void)reserve(other, 2, 2, 4);
}

TEST_F(RateLimiterTest, CancellingSeveralFromTheEnd) {
  RateLimiter limiter({10, 4}, clock);
  (void)reserve(limiter, 0, 4, 0);
  auto first = reserve(limiter, 0, 3, 3);
  (void)reserve(limiter, 0, 1, 4);
  auto last = reserve(limiter, 0, 1, 5);
  at(1);
  last.cancel();   // 1
  first.cancel();  // 2, as if the last had never been
  (void)reserve(limiter, 1, 3, 5);
}

TEST_F(RateLimiterTest, ANewLimitKeepsEarnedTokensAndReservations) {
  RateLimiter limiter({5, 2}, clock);
  (void)reserve(limiter, 0, 2, 0);
  (void)reserve(limiter, 0, 2, 4);
  at(2);
  limiter.set_limit(10);
  (void)reserve(limiter, 2, 1, 4);
}

TEST_F(RateLimiterTest, ANewBurstKeepsEarnedTokensAndReservations) {
  RateLimiter limiter({5, 2}, clock);
  (void)reserve(limiter, 0, 2, 0);
  (void)reserve(limiter, 0, 2, 4);
  at(3);
  limiter.set_burst(4);
  (void)reserve(limiter, 3, 4, 12);  // 4 and the 0.5 owed, at 5 a second

  RateLimiter full({10, 5}, clock);
  full.set_burst(2);
  EXPECT_EQ(full.tokens(), 2) << "a smaller bucket holds less";
  EXPECT_EQ(full.limit().burst, 2u);
}

TEST_F(RateLimiterTest, CancellingAfterANewLimitCountsByTheOld) {
  RateLimiter limiter({5, 2}, clock);
  (void)reserve(limiter, 0, 2, 0);
  auto reservation = reserve(limiter, 0, 2, 4);
  at(2);
  limiter.set_limit(10);
  reservation.cancel();
  (void)reserve(limiter, 2, 2, 3);
}

TEST_F(RateLimiterTest, CancellingNeverGivesBackMoreThanWasTaken) {
  RateLimiter limiter({1, 2}, clock);
  (void)reserve(limiter, 0, 2, 0);
  auto slow = reserve(limiter, 0, 2, 20);
  limiter.set_limit(1000);
  (void)reserve(limiter, 0, 1, 0);  // acts before the slow one, because the limit grew
  const double before = limiter.tokens();
  slow.cancel();
  EXPECT_LE(limiter.tokens(), before + 2);
}

TEST_F(RateLimiterTest, ReservesOnlyTheNearFutureIfAsked) {
  RateLimiter limiter({10, 2}, clock);
  (void)reserve(limiter, 0, 2, 0, kTick);
  (void)reserve(limiter, 0, 1, 1, kTick);
  (void)reserve(limiter, 0, 1, kRefused, kTick);
}

TEST_F(RateLimiterTest, AReservationOutlivesItsLimiter) {
  RateLimiter::Reservation reservation;
  EXPECT_FALSE(reservation.ok());
  {
    RateLimiter limiter({10, 1}, clock);
    (void)limiter.allow();
    reservation = limiter.reserve();
  }
  EXPECT_EQ(reservation.delay(), 100ms);
  reservation.cancel();
}

TEST_F(RateLimiterTest, WaitRefusesAtOnceWhatCannotBe) {
  RateLimiter limiter({10, 3}, clock);
  std::stop_source stop;
  EXPECT_EQ(limiter.wait(4).error().code, Errc::exceeds_burst);
  EXPECT_TRUE(limiter.wait(2, clock.now()));
  const auto late = limiter.wait(3, clock.now() + 199ms);
  ASSERT_FALSE(late);
  EXPECT_EQ(late.error().code, Errc::rate_limited);
  EXPECT_EQ(limiter.wait(1, clock.now() - 1ns).error().code, Errc::rate_limited) << "the deadline is past";
  stop.request_stop();
  EXPECT_EQ(limiter.wait(1, MonoTime::max(), stop.get_token()).error().code, Errc::cancelled);
  EXPECT_DOUBLE_EQ(limiter.tokens(), 1) << "none of them took a token";
}

TEST_F(RateLimiterTest, WaitWaitsUntilTheTokensAreThere) {
  RateLimiter limiter({10, 3}, clock);
  EXPECT_TRUE(limiter.allow(2));
  std::jthread waiter([&] {
    EXPECT_TRUE(limiter.wait(3, clock.now() + 200ms));
    EXPECT_EQ(clock.now(), start + 200ms);
  });
  ASSERT_TRUE(clock.wait_until_idle(1));
  ASSERT_TRUE(clock.advance_to_next());
}

TEST_F(RateLimiterTest, ACancelledWaitGivesItsTokensBack) {
  RateLimiter limiter({10, 3}, clock);
  EXPECT_TRUE(limiter.allow(2));
  std::stop_source stop;
  std::jthread waiter(
      [&] { EXPECT_EQ(limiter.wait(3, MonoTime::max(), stop.get_token()).error().code, Errc::cancelled); });
  ASSERT_TRUE(clock.wait_until_idle(1));
  at(1);
  stop.request_stop();
  waiter.join();
  EXPECT_DOUBLE_EQ(limiter.tokens(), 2);
}

TEST_F(RateLimiterTest, ManyThreadsGetTheBurstAndNotOneMore) {
  RateLimiter limiter({1, 50}, clock);
  std::atomic<int> allowed = 0;
  {
    std::vector<std::jthread> threads;
    for (int t = 0; t < 4; ++t) {
      threads.emplace_back([&] {
        for (int i = 0; i < 500; ++i) allowed += limiter.allow() ? 1 : 0;
      });
    }
  }
  EXPECT_EQ(allowed, 50);
}

TEST(KeyedRateLimiter, EachKeyHasItsOwnBucket) {
  FakeClock clock;
  KeyedRateLimiter limiters({.each = {10, 1}, .overrides = {{"slow", {1, 1}}}, .max_keys = 4}, clock);
  EXPECT_TRUE(limiters.get("a")->allow());
  EXPECT_FALSE(limiters.get("a")->allow());
  EXPECT_TRUE(limiters.get("b")->allow());
  EXPECT_EQ(limiters.get("slow")->limit().per_second, 1);
  EXPECT_EQ(limiters.get("a").get(), limiters.get("a").get());
  EXPECT_EQ(limiters.stats().keys, 3u);
}

TEST(KeyedRateLimiter, ForgetsTheLeastRecentlyUsed) {
  FakeClock clock;
  KeyedRateLimiter limiters({.each = {10, 1}, .overrides = {}, .max_keys = 2}, clock);
  const auto a = limiters.get("a");
  EXPECT_TRUE(a->allow());
  (void)limiters.get("b");
  (void)limiters.get("a");
  (void)limiters.get("c");  // forgets b, which was full
  EXPECT_EQ(limiters.get("a"), a);
  EXPECT_EQ(limiters.stats().evicted, 1u);
  EXPECT_EQ(limiters.stats().evicted_not_full, 0u);
  (void)limiters.get("d");
  (void)limiters.get("e");  // forgets c, then a, which was not
  EXPECT_EQ(limiters.stats().keys, 2u);
  EXPECT_EQ(limiters.stats().evicted, 3u);
  EXPECT_EQ(limiters.stats().evicted_not_full, 1u);
  EXPECT_FALSE(a->allow()) << "who holds it goes on with it";
  EXPECT_NE(limiters.get("a"), a);
}

TEST(KeyedRateLimiter, ManyThreadsMayAsk) {
  FakeClock clock;
  KeyedRateLimiter limiters({.each = {1, 10}, .overrides = {}, .max_keys = 8}, clock);
  std::atomic<int> allowed = 0;
  {
    std::vector<std::jthread> threads;
    for (int t = 0; t < 4; ++t) {
      threads.emplace_back([&] {
        for (int i = 0; i < 400; ++i) allowed += limiters.get("host-" + std::to_string(i % 8))->allow() ? 1 : 0;
      });
    }
  }
  EXPECT_EQ(allowed, 80);
}

}  // namespace
}  // namespace conntrace
