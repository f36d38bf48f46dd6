// SPDX-License-Identifier: Apache-2.0
#include "conntrace/clock.h"

#include <gtest/gtest.h>

#include <atomic>
#include <thread>
#include <vector>

#include "support/deadline.h"
#include "support/fake_clock.h"

namespace conntrace {
namespace {

using namespace std::chrono_literals;
using testing::FakeClock;

TEST(RealClock, SleepsUntilTheDeadlineAndIsWokenByAStop) {
  Clock& clock = real_clock();
  const MonoTime deadline = clock.now() + 1ms;
  EXPECT_TRUE(clock.sleep_until(deadline));
  EXPECT_GE(clock.now(), deadline);

  std::stop_source stop;
  std::jthread stopper([&] { stop.request_stop(); });
  EXPECT_FALSE(clock.sleep_until(MonoTime::max(), stop.get_token()));
  EXPECT_FALSE(clock.sleep_until(clock.now() - 1s, stop.get_token())) << "a stop comes before a deadline that is past";
}

TEST(RealClock, ItsWallClockIsThatOfTheSystem) {
  const auto system = std::chrono::system_clock::now().time_since_epoch();
  EXPECT_LT(std::chrono::abs(real_clock().wall_now() - system), 1min);
}

TEST(FakeClock, StandsStillUntilItIsMovedAndItsWallClockWithIt) {
  FakeClock clock;
  const MonoTime start = clock.now();
  EXPECT_EQ(clock.now(), start);
  EXPECT_EQ(rfc3339(clock.wall_now()), "2000-01-01T00:00:00.000000000Z");
  clock.advance(90s);
  EXPECT_EQ(clock.now(), start + 90s);
  EXPECT_EQ(rfc3339(clock.wall_now()), "2000-01-01T00:01:30.000000000Z");
  EXPECT_TRUE(clock.sleep_until(clock.now())) << "a deadline that has come blocks nobody";
}

TEST(FakeClock, AdvancesFromOneDeadlineToTheNext) {
  FakeClock clock;
  const MonoTime start = clock.now();
  std::atomic<int> awake = 0;
  {
    std::vector<std::jthread> sleepers;
    for (const auto delay : {30s, 10s, 20s}) {
      sleepers.emplace_back([&, delay] {
        EXPECT_TRUE(clock.sleep_until(start + delay));
        EXPECT_EQ(clock.now(), start + delay);
        ++awake;
        (void)clock.sleep_until(start + 1h);
      });
    }
    ASSERT_TRUE(clock.wait_until_idle(3));
    for (int n = 1; n <= 3; ++n) {
      ASSERT_TRUE(clock.advance_to_next());
      EXPECT_EQ(clock.now(), start + n * 10s);
      ASSERT_TRUE(clock.wait_until_idle(3)) << "the one that woke waits again";
      EXPECT_EQ(awake, n);
    }
    clock.advance(2h);
  }
  EXPECT_EQ(clock.waiting(), 0u);
  EXPECT_FALSE(clock.advance_to_next());
}

TEST(FakeClock, WhoWasNotifiedNoLongerWaits) {
  FakeClock clock;
  const auto condition = clock.make_condition();
  const auto other = clock.make_condition();
  std::mutex mutex;
  int tickets = 0;
  std::atomic<int> served = 0;
  {
    std::vector<std::jthread> threads;
    for (int i = 0; i < 3; ++i) {
      threads.emplace_back([&] {
        std::unique_lock lock(mutex);
        while (tickets == 0) condition->wait_until(lock, MonoTime::max());
        --tickets;
        ++served;
      });
    }
    ASSERT_TRUE(clock.wait_until_idle(3));
    EXPECT_FALSE(clock.advance_to_next()) << "nobody waits for a time";
    other->notify_all();
    EXPECT_EQ(clock.waiting(), 3u) << "a notification reaches only its own condition's waiters";
    {
      const std::lock_guard lock(mutex);
      tickets = 2;
      condition->notify_one();
      EXPECT_EQ(clock.waiting(), 2u);
      condition->notify_one();
      EXPECT_EQ(clock.waiting(), 1u) << "it woke another";
    }
    EXPECT_TRUE(testing::eventually([&] { return served == 2; }));
    const std::lock_guard lock(mutex);
    tickets = 1;
    condition->notify_all();
  }
  EXPECT_EQ(served, 3);
}

TEST(FakeClock, AStopWakesASleeper) {
  FakeClock clock;
  std::stop_source stop;
  bool slept = true;
  std::jthread sleeper([&] { slept = clock.sleep_until(clock.now() + 1s, stop.get_token()); });
  ASSERT_TRUE(clock.wait_until_idle(1));
  stop.request_stop();
  sleeper.join();
  EXPECT_FALSE(slept);
}

/// No notification and no deadline may be lost, whoever comes first.
TEST(FakeClock, LosesNoWakeUp) {
  FakeClock clock;
  const auto condition = clock.make_condition();
  std::mutex mutex;
  constexpr int kRounds = 2000;
  int turn = 0;  // even: the first thread's
  const auto play = [&](int me) {
    for (int round = 0; round < kRounds; ++round) {
      std::unique_lock lock(mutex);
      while (turn % 2 != me) condition->wait_until(lock, MonoTime::max());
      ++turn;
      condition->notify_all();
    }
  };
  std::jthread one([&] { play(0); });
  std::jthread two([&] { play(1); });
  std::jthread sleeper([&] {
    for (int round = 0; round < kRounds; ++round) (void)clock.sleep_until(clock.now() + 1ms);
  });
  std::jthread mover([&](const std::stop_token& stop) {
    while (!stop.stop_requested()) (void)clock.advance(1ms);
  });
  one.join();
  two.join();
  sleeper.join();
  EXPECT_EQ(turn, 2 * kRounds);
}

}  // namespace
}  // namespace conntrace
