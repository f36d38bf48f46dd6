// SPDX-License-Identifier: Apache-2.0
#include "conntrace/worker_pool.h"

#include <gtest/gtest.h>
#include <pthread.h>

#include <atomic>
#include <future>
#include <latch>
#include <set>
#include <stdexcept>
#include <thread>
#include <vector>

#include "conntrace/unique_fd.h"
#include "support/fake_clock.h"

namespace conntrace {
namespace {

using namespace std::chrono_literals;
using testing::FakeClock;

/// Keeps a worker busy until it is opened.
class Gate {
 public:
  [[nodiscard]] WorkerPool::Job job() {
    return [this] {
      entered_.count_down();
      open_.wait();
    };
  }
  void wait_until_entered() { entered_.wait(); }
  void open() { open_.count_down(); }

 private:
  std::latch entered_{1};
  std::latch open_{1};
};

void expect_balance(const WorkerPoolStats& stats) {
  EXPECT_EQ(stats.accepted, stats.completed + stats.running + stats.queued + stats.discarded);
}

struct WorkerPoolTest : ::testing::Test {
  FakeClock clock;
  std::atomic<int> ran = 0;
  const WorkerPool::Job count = [this] { ++ran; };
};

TEST_F(WorkerPoolTest, RefusesBeyondItsQueueAndRunsAllItAccepted) {
  Gate gate;
  {
    WorkerPool pool({.threads = 1, .max_queue = 2, .name = "test"});
    ASSERT_TRUE(pool.submit(gate.job()));
    gate.wait_until_entered();  // the thread is busy, so the queue is empty and stays as it is filled
    EXPECT_TRUE(pool.submit(count));
    EXPECT_TRUE(pool.submit(count));
    const auto refused = pool.submit(count);
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, Errc::queue_full);
    EXPECT_EQ(refused.error().context, "submit to test");
    const WorkerPoolStats stats = pool.stats();
    EXPECT_EQ(stats.queued, 2u);
    EXPECT_EQ(stats.running, 1u);
    EXPECT_EQ(stats.most_queued, 2u);
    EXPECT_EQ(stats.accepted, 3u);
    EXPECT_EQ(stats.rejected, 1u);
    expect_balance(stats);
    gate.open();
  }
  EXPECT_EQ(ran, 2);
}

TEST_F(WorkerPoolTest, AJobMaySubmitAnother) {
  std::promise<void> done;
  WorkerPool pool({.threads = 1, .max_queue = 1, .name = "test"});
  ASSERT_TRUE(pool.submit([&] { EXPECT_TRUE(pool.submit([&] { done.set_value(); })); }));
  done.get_future().wait();
}

TEST_F(WorkerPoolTest, ItsThreadsAreNamedAndAsManyAsAsked) {
  std::mutex mutex;
  std::set<std::thread::id> threads;
  std::latch all(3);
  {
    WorkerPool pool({.threads = 3, .max_queue = 3, .name = "a-name-that-is-too-long"});
    for (int i = 0; i < 3; ++i) {
      ASSERT_TRUE(pool.submit([&] {
        all.arrive_and_wait();
        char name[16] = {};
        pthread_getname_np(pthread_self(), name, sizeof name);
        EXPECT_STREQ(name, "a-name-that-is-");
        const std::lock_guard lock(mutex);
        threads.insert(std::this_thread::get_id());
      }));
    }
  }
  EXPECT_EQ(threads.size(), 3u);
}

TEST_F(WorkerPoolTest, AnExceptionEndsItsJobAlone) {
  WorkerPool pool({.threads = 2}, clock);
  ASSERT_TRUE(clock.wait_until_idle(2));
  ASSERT_TRUE(pool.submit([] { throw std::runtime_error("no"); }));
  ASSERT_TRUE(pool.submit([] { throw 1; }));  // NOLINT(hicpp-exception-baseclass): that is the case
  ASSERT_TRUE(pool.submit(count));
  ASSERT_TRUE(clock.wait_until_idle(2));
  const WorkerPoolStats stats = pool.stats();
  EXPECT_EQ(ran, 1);
  EXPECT_EQ(stats.failed, 2u);
  EXPECT_EQ(stats.completed, 3u);
  expect_balance(stats);
}

TEST_F(WorkerPoolTest, ABlockedSubmitterGetsTheFirstRoom) {
  Gate gate;
  WorkerPool pool({.threads = 1, .max_queue = 1}, clock);
  ASSERT_TRUE(pool.submit(gate.job()));
  gate.wait_until_entered();
  EXPECT_TRUE(pool.submit_wait(count)) << "there is room";
  std::jthread submitter([&] { EXPECT_TRUE(pool.submit_wait(count)); });
  ASSERT_TRUE(clock.wait_until_idle(1));
  EXPECT_EQ(pool.queued(), 1u);
  gate.open();
  submitter.join();
  ASSERT_TRUE(clock.wait_until_idle(1)) << "the worker has no more to do";
  EXPECT_EQ(ran, 2);
  EXPECT_EQ(pool.stats().rejected, 0u);
}

TEST_F(WorkerPoolTest, ABlockedSubmitterGivesUpAtItsDeadlineWhenStoppedOrAtTheEnd) {
  Gate gate;
  WorkerPool pool({.threads = 1, .max_queue = 1}, clock);
  ASSERT_TRUE(pool.submit(gate.job()));
  gate.wait_until_entered();
  ASSERT_TRUE(pool.submit(count));
  EXPECT_EQ(pool.submit_wait(count, clock.now()).error().code, Errc::timeout);

  std::stop_source stop;
  std::jthread late([&] { EXPECT_EQ(pool.submit_wait(count, clock.now() + 1s).error().code, Errc::timeout); });
  std::jthread stopped(
      [&] { EXPECT_EQ(pool.submit_wait(count, MonoTime::max(), stop.get_token()).error().code, Errc::cancelled); });
  std::jthread last([&] { EXPECT_EQ(pool.submit_wait(count).error().code, Errc::shutdown); });
  ASSERT_TRUE(clock.wait_until_idle(3));
  ASSERT_TRUE(clock.advance_to_next());
  late.join();
  stop.request_stop();
  stopped.join();
  EXPECT_EQ(pool.submit_wait(count, MonoTime::max(), stop.get_token()).error().code, Errc::cancelled);
  std::jthread ender([&] { pool.stop(); });
  last.join();
  gate.open();
  ender.join();
  EXPECT_EQ(ran, 1);
  EXPECT_EQ(pool.stats().rejected, 5u);
  expect_balance(pool.stats());
}

TEST_F(WorkerPoolTest, StopDrainsAndAcceptsNoMore) {
  Gate gate;
  WorkerPool pool({.threads = 1, .max_queue = 8}, clock);
  ASSERT_TRUE(pool.submit(gate.job()));
  gate.wait_until_entered();
  for (int i = 0; i < 5; ++i) ASSERT_TRUE(pool.submit(count));
  gate.open();
  pool.stop();
  EXPECT_EQ(ran, 5);
  EXPECT_EQ(pool.submit(count).error().code, Errc::shutdown);
  pool.stop();
  EXPECT_EQ(pool.stats().completed, 6u);
}

TEST_F(WorkerPoolTest, StopMayDiscardWhatWaits) {
  Gate gate;
  auto held = std::make_shared<int>(1);
  WorkerPool pool({.threads = 1, .max_queue = 8}, clock);
  ASSERT_TRUE(pool.submit(gate.job()));
  gate.wait_until_entered();
  for (int i = 0; i < 5; ++i) ASSERT_TRUE(pool.submit([this, held] { ++ran; }));
  std::jthread ender([&] { pool.stop(QueuedJobs::discard); });
  while (pool.stats().discarded == 0) std::this_thread::yield();
  gate.open();
  ender.join();
  EXPECT_EQ(ran, 0);
  EXPECT_EQ(held.use_count(), 1) << "what they captured is freed";
  EXPECT_EQ(pool.stats().discarded, 5u);
  expect_balance(pool.stats());
}

TEST_F(WorkerPoolTest, TheDestructorMayDiscard) {
  Gate gate;
  std::atomic<bool> destroyed = false;
  struct Watch {
    std::atomic<bool>& destroyed;
    ~Watch() {
      destroyed = true;
      destroyed.notify_all();
    }
  };
  auto pool = std::make_unique<WorkerPool>(WorkerPoolOptions{.threads = 1, .at_end = QueuedJobs::discard}, clock);
  ASSERT_TRUE(pool->submit(gate.job()));
  gate.wait_until_entered();
  auto watch = std::make_shared<Watch>(destroyed);
  ASSERT_TRUE(pool->submit([this, watch] { ++ran; }));
  watch.reset();
  std::jthread ender([&] { pool.reset(); });
  destroyed.wait(false);
  gate.open();
  ender.join();
  EXPECT_EQ(ran, 0);
}

TEST_F(WorkerPoolTest, AJobMayStopItsPool) {
  WorkerPool pool({.threads = 2}, clock);
  std::promise<Errc> after;
  ASSERT_TRUE(pool.submit([&] {
    pool.stop();
    after.set_value(pool.submit(count) ? Errc::ok : Errc::shutdown);
  }));
  EXPECT_EQ(after.get_future().get(), Errc::shutdown);
}

TEST_F(WorkerPoolTest, NoThreadsMeansOne) {
  WorkerPool pool({.threads = 0});
  ASSERT_TRUE(pool.submit(count));
  pool.stop();
  EXPECT_EQ(ran, 1);
}

TEST_F(WorkerPoolTest, ManySubmittersManyWorkersNothingIsLost) {
  WorkerPool pool({.threads = 3, .max_queue = 4});
  std::atomic<std::uint64_t> accepted = 0;
  {
    std::vector<std::jthread> submitters;
    for (int t = 0; t < 4; ++t) {
      submitters.emplace_back([&, t] {
        for (int i = 0; i < 500; ++i) {
          const bool taken = (i + t) % 2 == 0 ? pool.submit(count).has_value() : pool.submit_wait(count).has_value();
          if (taken) ++accepted;
        }
      });
    }
  }
  pool.stop();
  const WorkerPoolStats stats = pool.stats();
  EXPECT_EQ(stats.accepted, accepted);
  EXPECT_EQ(stats.accepted + stats.rejected, 2000u);
  EXPECT_EQ(static_cast<std::uint64_t>(ran), accepted);
  EXPECT_LE(stats.most_queued, 4u);
  expect_balance(stats);
}

TEST(UniqueFd, MoveAssignmentClosesWhatItHeld) {
  int first[2];
  ASSERT_EQ(pipe(first), 0);
  UniqueFd read_end(first[0]);
  UniqueFd write_end(first[1]);
  int second[2];
  ASSERT_EQ(pipe(second), 0);
  UniqueFd other(second[0]);
  UniqueFd other_write(second[1]);

  write_end = std::move(other_write);
  char byte = 0;
  EXPECT_EQ(read(read_end.get(), &byte, 1), 0) << "the write end was closed, so the read end is at its end";
  EXPECT_EQ(write_end.get(), second[1]);
  EXPECT_FALSE(other_write.valid());
}

}  // namespace
}  // namespace conntrace
