// SPDX-License-Identifier: Apache-2.0
#include "conntrace/worker_pool.h"

#include <gtest/gtest.h>

#include <atomic>
#include <future>
#include <thread>

#include "conntrace/unique_fd.h"

namespace conntrace {
namespace {

TEST(WorkerPool, RefusesBeyondItsQueueAndRunsAllItAccepted) {
  std::promise<void> release;
  std::shared_future<void> released = release.get_future().share();
  std::promise<void> started;
  std::atomic<int> ran = 0;
  {
    WorkerPool pool({.threads = 1, .max_queue = 2, .name = "test"});
    ASSERT_TRUE(pool.submit([&] {
      started.set_value();
      released.wait();
      ++ran;
    }));
    started.get_future().wait();  // the thread is busy, so the queue is empty and stays as it is filled
    EXPECT_TRUE(pool.submit([&] { ++ran; }));
    EXPECT_TRUE(pool.submit([&] { ++ran; }));
    EXPECT_FALSE(pool.submit([&] { ++ran; }));
    EXPECT_EQ(pool.queued(), 2u);
    release.set_value();
  }
  EXPECT_EQ(ran, 3);
}

TEST(WorkerPool, AJobMaySubmitAnother) {
  std::promise<void> done;
  WorkerPool pool({.threads = 1, .max_queue = 1, .name = "test"});
  ASSERT_TRUE(pool.submit([&] { EXPECT_TRUE(pool.submit([&] { done.set_value(); })); }));
  done.get_future().wait();
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
