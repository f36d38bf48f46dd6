// SPDX-License-Identifier: Apache-2.0
#include "conntrace/object_pool.h"

#include <gtest/gtest.h>

#include <atomic>
#include <deque>
#include <latch>
#include <mutex>
#include <optional>
#include <random>
#include <thread>
#include <vector>

namespace conntrace {
namespace {

/// Counts those that live.
struct Thing {
  static inline std::atomic<int> alive = 0;
  Thing() { ++alive; }
  ~Thing() { --alive; }
  Thing(const Thing&) = delete;
  Thing& operator=(const Thing&) = delete;
  int value = 0;
  std::atomic<int> users = 0;
};
using Pool = ObjectPool<Thing>;
using Options = ObjectPoolOptions<Thing>;

struct ObjectPoolTest : ::testing::Test {
  ~ObjectPoolTest() override { EXPECT_EQ(Thing::alive, 0); }
};

void expect_balance(const Pool& pool) {
  const ObjectPoolStats stats = pool.stats();
  EXPECT_EQ(stats.hits + stats.misses, stats.returned + stats.in_use);
  EXPECT_EQ(Thing::alive, static_cast<int>(stats.in_use + stats.idle));
}

TEST_F(ObjectPoolTest, HandsOutWhatCameBack) {
  Pool pool;
  const Thing* first = nullptr;
  {
    const auto thing = pool.get();
    ASSERT_TRUE(thing);
    first = thing.get();
    EXPECT_EQ(pool.stats().in_use, 1u);
  }
  EXPECT_EQ(pool.get().get(), first);
  const ObjectPoolStats stats = pool.stats();
  EXPECT_EQ(stats.misses, 1u);
  EXPECT_EQ(stats.hits, 1u);
  EXPECT_EQ(stats.returned, 2u);
  EXPECT_EQ(stats.dropped, 0u);
  EXPECT_EQ(stats.in_use, 0u);
  EXPECT_EQ(stats.idle, 1u);
}

TEST_F(ObjectPoolTest, ResetsOnReturnAndDropsWhatResetRefuses) {
  Pool pool({.reset = [](Thing& thing) {
    if (thing.value == 13) throw thing.value;
    return std::exchange(thing.value, 0) < 10;
  }});
  pool.get()->value = 9;
  EXPECT_EQ(pool.get()->value, 0);
  pool.get()->value = 10;
  EXPECT_EQ(pool.stats().dropped, 1u);
  pool.get()->value = 13;
  EXPECT_EQ(pool.stats().dropped, 2u);
  expect_balance(pool);
}

TEST_F(ObjectPoolTest, MakesThemAsItIsTold) {
  int made = 0;
  Pool pool({.create = [&]() -> std::unique_ptr<Thing> {
    if (++made == 2) throw std::bad_alloc();
    auto thing = std::make_unique<Thing>();
    thing->value = made;
    return thing;
  }});
  const auto first = pool.get();
  EXPECT_EQ(first->value, 1);
  EXPECT_THROW((void)pool.get(), std::bad_alloc);
  EXPECT_EQ(pool.stats().in_use, 1u) << "what could not be made is not in use";
  EXPECT_EQ(pool.stats().misses, 1u);
  expect_balance(pool);
}

TEST_F(ObjectPoolTest, ALoanMovesAndEndsOnce) {
  Pool pool;
  auto one = pool.get();
  auto two = pool.get();
  Thing* const kept = one.get();
  two = std::move(one);
  EXPECT_EQ(two.get(), kept);
  EXPECT_EQ(pool.stats().returned, 1u) << "assignment gave back what it held";
  two.reset();
  two.reset();
  EXPECT_FALSE(two);
  EXPECT_EQ(pool.stats().returned, 2u);
}

TEST_F(ObjectPoolTest, KeepsNoMoreThanItMay) {
  for (const std::size_t max_idle : {0U, 1U, 3U, 8U, 50U}) {
    Pool pool({.max_per_thread = 4, .max_idle = max_idle});
    std::vector<Pooled<Thing>> all;
    for (int i = 0; i < 30; ++i) all.push_back(pool.get());
    all.clear();
    const ObjectPoolStats stats = pool.stats();
    EXPECT_LE(stats.idle, max_idle);
    EXPECT_GE(stats.idle, std::min<std::size_t>(max_idle, 30) * 2 / 3) << "of " << max_idle;
    EXPECT_EQ(stats.idle + stats.dropped, 30u);
    expect_balance(pool);
    for (int i = 0; i < 30; ++i) all.push_back(pool.get());
    EXPECT_EQ(pool.stats().hits, stats.idle) << "all that is idle is found again";
  }
}

TEST_F(ObjectPoolTest, WhatOneThreadMakesAnotherMayGiveBack) {
  Pool pool({.max_per_thread = 4, .max_idle = 64});
  for (int round = 0; round < 50; ++round) {
    std::vector<Pooled<Thing>> batch;
    for (int i = 0; i < 8; ++i) batch.push_back(pool.get());
    std::jthread([batch = std::move(batch)]() mutable { batch.clear(); }).join();
  }
  const ObjectPoolStats stats = pool.stats();
  EXPECT_LE(stats.misses, 16u) << "the getting thread finds what others gave back";
  expect_balance(pool);
}

TEST_F(ObjectPoolTest, AThreadThatEndsLeavesItsObjectsToTheOthers) {
  Pool pool;
  std::jthread([&] {
    std::vector<Pooled<Thing>> some;
    for (int i = 0; i < 5; ++i) some.push_back(pool.get());
  }).join();
  EXPECT_EQ(pool.stats().idle, 5u);
  EXPECT_EQ(pool.stats().returned, 5u) << "its counts stay, too";
  std::vector<Pooled<Thing>> some;
  for (int i = 0; i < 5; ++i) some.push_back(pool.get());
  EXPECT_EQ(pool.stats().hits, 5u);
}

TEST_F(ObjectPoolTest, ThreadsThatEndGiveTheirPartOfTheBoundBack) {
  Pool pool({.max_per_thread = 4, .max_idle = 8});
  for (int i = 0; i < 100; ++i) std::jthread([&] { (void)pool.get(); }).join();
  EXPECT_EQ(pool.stats().misses, 1u) << "one object went through a hundred threads";
}

TEST_F(ObjectPoolTest, ThePoolsEndDestroysWhatOtherThreadsKeep) {
  std::optional<Pool> pool(std::in_place);
  std::latch kept(3);
  std::latch ended(1);
  std::vector<std::jthread> threads;
  for (int t = 0; t < 3; ++t) {
    threads.emplace_back([&] {
      (void)pool->get();
      kept.count_down();
      ended.wait();
      Pool another;  // its place in the thread's list may be that of the one that ended
      (void)another.get();
    });
  }
  kept.wait();
  EXPECT_EQ(Thing::alive, 3);
  pool.reset();
  EXPECT_EQ(Thing::alive, 0);
  ended.count_down();
}

TEST_F(ObjectPoolTest, ALoanOutlivesThePool) {
  std::optional<Pool> pool(std::in_place);
  auto here = pool->get();
  auto there = pool->get();
  auto with_local = pool->get();
  std::latch used(1);
  std::latch ended(1);
  std::jthread knows_the_pool([&] {
    (void)pool->get();
    used.count_down();
    ended.wait();
    with_local.reset();
  });
  used.wait();
  pool.reset();
  EXPECT_EQ(Thing::alive, 3);
  here->value = 1;
  here.reset();
  std::jthread([&] { there.reset(); }).join();  // a thread that never met the pool
  ended.count_down();
}

TEST_F(ObjectPoolTest, AThreadsOwnStaticsMayHoldALoanToItsEnd) {
  Pool pool;
  std::jthread([&] {
    static thread_local Pooled<Thing> kept;  // constructed before the cache, so destroyed after it
    kept = pool.get();
  }).join();
  expect_balance(pool);
  EXPECT_EQ(pool.stats().in_use, 0u);
  EXPECT_EQ(pool.stats().idle, 1u);
}

/// Loans cross threads, threads come and go, and the pool ends while loans are out. No object has two users.
TEST_F(ObjectPoolTest, StressedItStaysSound) {
  for (int round = 0; round < 20; ++round) {
    auto pool = std::make_unique<Pool>(
        Options{.max_per_thread = 3, .max_idle = 12, .reset = [](Thing& thing) { return thing.value++ < 50; }});
    std::mutex mutex;
    std::deque<Pooled<Thing>> passed_on;
    std::vector<Pooled<Thing>> leftovers;
    {
      std::vector<std::jthread> threads;
      for (unsigned t = 0; t < 4; ++t) {
        threads.emplace_back([&, t] {
          std::mt19937 random(t + static_cast<unsigned>(round) * 10);
          std::vector<Pooled<Thing>> mine;
          const auto give_back = [](Pooled<Thing> thing) { EXPECT_EQ(--thing->users, 0); };
          for (int i = 0; i < 400; ++i) {
            switch (random() % 4) {
              case 0:
              case 1:
                mine.push_back(pool->get());
                EXPECT_EQ(++mine.back()->users, 1);
                break;
              case 2: {
                if (mine.empty()) break;
                const std::lock_guard lock(mutex);
                passed_on.push_back(std::move(mine.back()));
                mine.pop_back();
                break;
              }
              default: {
                Pooled<Thing> got;
                {
                  const std::lock_guard lock(mutex);
                  if (!passed_on.empty()) {
                    got = std::move(passed_on.front());
                    passed_on.pop_front();
                  }
                }
                if (got) give_back(std::move(got));
                if (!mine.empty()) {
                  give_back(std::move(mine.back()));
                  mine.pop_back();
                }
              }
            }
            if (i % 100 == 0) (void)pool->stats();
          }
          const std::lock_guard lock(mutex);
          for (auto& thing : mine) leftovers.push_back(std::move(thing));
        });
      }
    }
    expect_balance(*pool);
    EXPECT_LE(pool->stats().idle, 12u);
    std::latch started(2);
    std::jthread one([&] {
      started.arrive_and_wait();
      leftovers.clear();
    });
    started.arrive_and_wait();
    pool.reset();  // while the other thread gives back
    one.join();
    passed_on.clear();
    EXPECT_EQ(Thing::alive, 0);
  }
}

}  // namespace
}  // namespace conntrace
