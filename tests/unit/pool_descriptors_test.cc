// SPDX-License-Identifier: Apache-2.0
// What the pool does when the process has no descriptor for a dial.
#include <gtest/gtest.h>

#include "pool/pool_core.h"
#include "pool_script.h"

namespace conntrace::pool {
namespace {

using enum CloseReason;
using std::chrono::milliseconds;

TEST(PoolDescriptors, TheLeastRecentlyUsedIdleOnesOfAnyKeyGoAndTheDialBeginsAgain) {
  PoolScript pool;
  pool.warm(1, "a:80");
  pool.advance(1);
  pool.warm(2, "b:80");
  (void)pool.acquire(1, "c:80");
  EXPECT_EQ(pool.no_descriptor(4), "close c1 fd_pressure idle=1; close c2 fd_pressure idle=0; dial c5 r1 no_idle")
      << "two at a time; a dial is a connection of its own";
  EXPECT_EQ(pool.counts(), "1/0/1/0");
  EXPECT_EQ(pool.core.snapshot().closed_by[static_cast<std::size_t>(dial_failed)], 1u);
  EXPECT_EQ(pool.acquire(2, "a:80"), "dial c6 r2 fd_pressure c1:fd_pressure");
}

TEST(PoolDescriptors, TheSecondDialIsNewForTheFirstOnesReason) {
  PoolScript pool;
  pool.warm(1, "a:80");
  (void)pool.acquire(1, "a:80");
  pool.warm(1, "b:80");
  EXPECT_EQ(pool.acquire(2, "a:80"), "dial c3 r2 all_busy c1:all_busy");
  (void)pool.release(1, read_error);
  EXPECT_EQ(pool.no_descriptor(3), "close c2 fd_pressure idle=0; dial c4 r2 all_busy c1:all_busy");
}

TEST(PoolDescriptors, WithNothingIdleTheRequestWaitsForAnyClose) {
  PoolScript pool;
  (void)pool.acquire(1, "a:80");
  (void)pool.dialled(1);
  (void)pool.acquire(2, "b:80");
  EXPECT_EQ(pool.no_descriptor(2), "queued r2 fd_limit 0 1/1 [r1/c1]");
  EXPECT_EQ(pool.counts(), "0/1/0/1");
  pool.advance(0.05);
  EXPECT_EQ(pool.release(1, connection_close_response),
            "close c1 connection_close_response; dequeued r2 fd_limit slot_freed waited=0.05 by r1 [r1/c1=1]; "
            "dial c3 r2 no_idle");
}

TEST(PoolDescriptors, WhileSomebodyWaitsNothingIsKeptIdle) {
  PoolScript pool;
  (void)pool.acquire(1, "a:80");
  (void)pool.dialled(1);
  (void)pool.acquire(2, "b:80");
  (void)pool.no_descriptor(2);
  EXPECT_EQ(pool.release(1),
            "put c1 r1 refused fd_pressure; close c1 fd_pressure; "
            "dequeued r2 fd_limit slot_freed waited=0 by r1 [r1/c1=1]; dial c3 r2 no_idle");
}

TEST(PoolDescriptors, AReturnedConnectionOfItsKeyEndsTheWait) {
  PoolScript pool;
  (void)pool.acquire(1);
  (void)pool.dialled(1);
  (void)pool.acquire(2);
  (void)pool.no_descriptor(2);
  EXPECT_EQ(pool.release(1),
            "put c1 r1 to r2; dequeued r2 fd_limit handoff waited=0 by r1 [r1/c1=1]; deliver c1 r2 reused");
}

TEST(PoolDescriptors, NewRequestsQueueBehindThoseThatWait) {
  PoolScript pool;
  (void)pool.acquire(1, "a:80");
  (void)pool.dialled(1);
  (void)pool.acquire(2, "b:80");
  (void)pool.no_descriptor(2);
  EXPECT_EQ(pool.acquire(3, "c:80"), "queued r3 fd_limit 0 2/2 [r1/c1]");
  EXPECT_EQ(pool.release(1, read_error),
            "close c1 read_error; dequeued r2 fd_limit slot_freed waited=0 by r1 [r1/c1=1]; dial c3 r2 no_idle")
      << "one descriptor, one dial";
  EXPECT_EQ(pool.dial_failed(3),
            "failed r2 c3; dequeued r3 fd_limit slot_freed waited=0 by r0 [r1/c1=0.5 r2/c3=0.5]; "
            "dial c4 r3 no_idle");
}

TEST(PoolDescriptors, TriesAgainNowAndThenForOthersHaveDescriptorsToo) {
  PoolScript pool;
  (void)pool.acquire(1);
  EXPECT_EQ(pool.no_descriptor(1), "queued r1 fd_limit 0 1/1 []");
  EXPECT_EQ(pool.core.next_deadline(), pool.now + milliseconds(100));
  pool.advance(0.05);
  EXPECT_EQ(pool.expire(), "");
  pool.advance(0.05);
  EXPECT_EQ(pool.expire(), "dequeued r1 fd_limit slot_freed waited=0.1 by r0 []; dial c2 r1 no_idle");
  EXPECT_EQ(pool.core.next_deadline(), std::nullopt);
}

TEST(PoolDescriptors, AWaitThatNobodyHereCausedIsOthers) {
  PoolScript pool;
  (void)pool.acquire(1);
  (void)pool.no_descriptor(1);
  pool.advance(0.1);
  Actions out;
  pool.core.expire(pool.now, out);
  EXPECT_EQ(std::get<Dequeued>(out[0]).others_share, 1.0);
}

TEST(PoolDescriptors, TheRequestKeepsItsPlaceUnderTheOtherLimits) {
  PoolScript pool({.max_conns_per_host = 1, .max_total_conns = 1});
  (void)pool.acquire(1);
  EXPECT_EQ(pool.acquire(2), "queued r2 max_conns_per_host 1 1/1 [r1/c1]");
  pool.advance(0.03);
  EXPECT_EQ(pool.no_descriptor(1), "queued r1 fd_limit 0 1/1 []");
  EXPECT_EQ(pool.acquire(3, "b:80"), "queued r3 max_total_conns 1 1/1 [r1/c0]");
  pool.advance(0.1);
  EXPECT_EQ(pool.expire(), "dequeued r1 fd_limit slot_freed waited=0.1 by r0 []; dial c2 r1 no_idle");
  EXPECT_EQ(pool.counts(), "0/0/1/2");
  (void)pool.dialled(2);
  pool.advance(0.01);
  EXPECT_EQ(pool.release(2, read_error),
            "close c2 read_error; "
            "dequeued r3 max_total_conns slot_freed waited=0.11 by r1 [r1/c0=0.909 r1/c2=0.0909]; dial c3 r3 no_idle; "
            "dequeued r2 max_conns_per_host slot_freed waited=0.14 by r1 [r1/c0=0.714 r1/c1=0.214 r1/c2=0.0714]; "
            "queued r2 max_total_conns 1 1/1 [r3/c3]");
}

TEST(PoolDescriptors, ADialNobodyWaitsForIsNotRepeated) {
  PoolScript pool;
  (void)pool.acquire(1);
  (void)pool.cancel(1);
  EXPECT_EQ(pool.no_descriptor(1), "");
  EXPECT_EQ(pool.counts(), "0/0/0/0");
  EXPECT_EQ(pool.no_descriptor(1), "") << "known no more";
}

TEST(PoolDescriptors, OneCancelledMeanwhileWaitsNoMore) {
  PoolScript pool;
  (void)pool.acquire(1);
  (void)pool.no_descriptor(1);
  pool.advance(1);
  EXPECT_EQ(pool.cancel(1, QueueOutcome::timeout), "dequeued r1 fd_limit timeout waited=1 by r0 []");
  EXPECT_EQ(pool.counts(), "0/0/0/0");
  EXPECT_EQ(pool.core.next_deadline(), std::nullopt);
}

}  // namespace
}  // namespace conntrace::pool
