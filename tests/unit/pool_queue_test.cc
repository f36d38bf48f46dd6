// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include "pool/pool_core.h"
#include "pool_script.h"

namespace conntrace::pool {
namespace {

using enum CloseReason;

// Names in comments are those of Go's tests in net/http, whose behaviour these replay.

TEST(PoolLateBinding, ADiallingRequestTakesWhatIsReturnedFirst) {  // TestTransportSocketLateBinding
  PoolScript pool;
  (void)pool.acquire(1);
  (void)pool.dialled(1);
  EXPECT_EQ(pool.acquire(2), "dial c2 r2 all_busy c1:all_busy");
  EXPECT_EQ(pool.release(1), "put c1 r1 to r2; deliver c1 r2 reused");
  EXPECT_EQ(pool.acquire(3), "dial c3 r3 all_busy c1:all_busy") << "an unwanted dial is not yet a connection";
  EXPECT_EQ(pool.dialled(2), "put c2 r0 to r3; deliver c2 r3 new") << "never used, so not reused: Go says it is";
  EXPECT_EQ(pool.dialled(3), "put c3 r0");
  EXPECT_EQ(pool.counts(), "1/2/0/0");
  EXPECT_EQ(pool.acquire(4), "deliver c3 r4 new idle=0");
  EXPECT_EQ(pool.core.snapshot().reused, 1u);
}

TEST(PoolLateBinding, AnOwnDialIsForItsRequestEvenIfAnotherWaitsLonger) {
  PoolScript pool;
  (void)pool.acquire(1);
  (void)pool.acquire(2);
  EXPECT_EQ(pool.dialled(2), "deliver c2 r2 new");
  EXPECT_EQ(pool.release(2), "put c2 r2 to r1; deliver c2 r1 reused");
  EXPECT_EQ(pool.dialled(1), "put c1 r0");
}

TEST(PoolLateBinding, WaitersAreServedFirstInFirstOut) {
  PoolScript pool;
  for (RequestId r = 1; r <= 4; ++r) (void)pool.acquire(r);
  (void)pool.dialled(1);
  EXPECT_EQ(pool.release(1), "put c1 r1 to r2; deliver c1 r2 reused");
  EXPECT_EQ(pool.release(1), "put c1 r2 to r3; deliver c1 r3 reused");
  EXPECT_EQ(pool.release(1), "put c1 r3 to r4; deliver c1 r4 reused");
  EXPECT_EQ(pool.counts(), "0/1/3/0");
}

TEST(PoolLateBinding, WaitersOfAnotherKeyGetNothing) {
  PoolScript pool;
  (void)pool.acquire(1, "a:80");
  (void)pool.dialled(1);
  (void)pool.acquire(2, "b:80");
  EXPECT_EQ(pool.release(1), "put c1 r1");
}

TEST(PoolCancel, TheDialGoesOnAndServesTheNext) {  // TestTransportPoolCancelRequestReusesConn
  PoolScript pool;
  (void)pool.acquire(1);
  EXPECT_EQ(pool.cancel(1), "");
  EXPECT_EQ(pool.counts(), "0/0/1/0");
  EXPECT_EQ(pool.dialled(1), "put c1 r0");
  EXPECT_EQ(pool.acquire(2), "deliver c1 r2 new idle=0");
}

TEST(PoolCancel, TheDialIsDonatedToWhoWaits) {
  PoolScript pool;
  (void)pool.acquire(1);
  (void)pool.acquire(2);
  (void)pool.cancel(1);
  EXPECT_EQ(pool.dialled(1), "put c1 r0 to r2; deliver c1 r2 new");
  EXPECT_EQ(pool.dialled(2), "put c2 r0");
}

TEST(PoolCancel, TheDialIsClosedWhenNothingIsKept) {  // TestTransportPoolCancelRequestWithDisableKeepAlives
  PoolScript pool({.disable_keep_alives = true});
  (void)pool.acquire(1);
  (void)pool.cancel(1);
  (void)pool.acquire(2);
  EXPECT_EQ(pool.dialled(1), "close c1 keep_alives_disabled");
  EXPECT_EQ(pool.dialled(2), "deliver c2 r2 new");
}

TEST(PoolCancel, AFailedDialOfACancelledRequestTellsNobody) {
  PoolScript pool;
  (void)pool.acquire(1);
  (void)pool.cancel(1);
  EXPECT_EQ(pool.dial_failed(1), "");
  EXPECT_EQ(pool.counts(), "0/0/0/0");
  EXPECT_EQ(pool.core.snapshot().closed, 1u);
}

TEST(PoolCancel, ARequestThatDoesNotWaitIsIgnored) {
  PoolScript pool;
  EXPECT_EQ(pool.cancel(7), "");
  (void)pool.acquire(1);
  (void)pool.dialled(1);
  EXPECT_EQ(pool.cancel(1), "");
  EXPECT_EQ(pool.counts(), "0/1/0/0");
}

TEST(PoolDialFailed, FailsTheRequestThatWaitsForIt) {
  PoolScript pool;
  (void)pool.acquire(1);
  EXPECT_EQ(pool.dial_failed(1), "failed r1 c1");
  EXPECT_EQ(pool.counts(), "0/0/0/0");
  EXPECT_EQ(pool.acquire(1), "dial c2 r1 no_idle");
}

TEST(PoolDialFailed, IsNothingToARequestThatGotAnother) {
  PoolScript pool;
  (void)pool.acquire(1);
  (void)pool.dialled(1);
  (void)pool.acquire(2);
  EXPECT_EQ(pool.release(1), "put c1 r1 to r2; deliver c1 r2 reused");
  EXPECT_EQ(pool.dial_failed(2), "");
}

TEST(PoolQueue, TheConnectionIsHandedOver) {
  PoolScript pool({.max_conns_per_host = 1});
  (void)pool.acquire(1);
  (void)pool.dialled(1);
  EXPECT_EQ(pool.acquire(2), "queued r2 max_conns_per_host 1 1/1 [r1/c1]");
  EXPECT_EQ(pool.acquire(3), "queued r3 max_conns_per_host 1 2/2 [r1/c1]");
  EXPECT_EQ(pool.counts(), "0/1/0/2");
  pool.advance(2);
  EXPECT_EQ(pool.release(1),
            "put c1 r1 to r2; dequeued r2 max_conns_per_host handoff waited=2 by r1 [r1/c1=1]; deliver c1 r2 reused");
  pool.advance(6);
  EXPECT_EQ(pool.release(1),
            "put c1 r2 to r3; dequeued r3 max_conns_per_host handoff waited=8 by r2 [r2/c1=0.75 r1/c1=0.25]; "
            "deliver c1 r3 reused");
  EXPECT_EQ(pool.release(1), "put c1 r3");
  EXPECT_EQ(pool.core.snapshot().dials, 1u);
}

TEST(PoolQueue, TenAtOnceNeedOneDialAndOneMoreAfterAClose) {  // TestTransportMaxConnsPerHost
  PoolScript pool({.max_conns_per_host = 1});
  for (RequestId r = 1; r <= 10; ++r) (void)pool.acquire(r);
  (void)pool.dialled(1);
  for (RequestId r = 1; r <= 10; ++r) (void)pool.release(1);
  EXPECT_EQ(pool.core.snapshot().dials, 1u);
  EXPECT_EQ(pool.core.snapshot().reused, 9u);
  (void)pool.peer_closed(1);
  (void)pool.peer_closed(1);  // told twice, counted once
  for (RequestId r = 11; r <= 20; ++r) (void)pool.acquire(r);
  EXPECT_EQ(pool.counts(), "0/0/1/9");
  EXPECT_EQ(pool.core.snapshot().dials, 2u);
}

TEST(PoolQueue, AnExpiredConnectionFreesItsSlot) {  // TestTransportRemovesH2ConnsAfterIdle
  PoolScript pool({.max_conns_per_host = 1, .idle_conn_timeout = std::chrono::seconds(10)});
  pool.warm(1);
  pool.advance(10);
  EXPECT_EQ(pool.expire(), "close c1 idle_timeout idle=10");
  EXPECT_EQ(pool.acquire(1), "dial c2 r1 idle_expired c1:idle_expired");
}

TEST(PoolQueue, ADialInProgressHoldsASlot) {  // TestTransportMaxConnsPerHostIncludeDialInProgress
  PoolScript pool({.max_conns_per_host = 1});
  (void)pool.acquire(1);
  EXPECT_EQ(pool.acquire(2), "queued r2 max_conns_per_host 1 1/1 [r1/c1]");
  EXPECT_EQ(pool.dialled(1), "deliver c1 r1 new");
}

TEST(PoolQueue, ASlotGoesToTheFirstWhoWaits) {
  PoolScript pool({.max_conns_per_host = 1});
  (void)pool.acquire(1);
  (void)pool.dialled(1);
  (void)pool.acquire(2);
  (void)pool.acquire(3);
  pool.advance(1);
  EXPECT_EQ(pool.release(1, connection_close_response),
            "close c1 connection_close_response; "
            "dequeued r2 max_conns_per_host slot_freed waited=1 by r1 [r1/c1=1]; dial c2 r2 no_idle");
  EXPECT_EQ(pool.counts(), "0/0/1/1");
}

TEST(PoolQueue, AFailedDialGivesItsSlotOn) {
  PoolScript pool({.max_conns_per_host = 1});
  (void)pool.acquire(1);
  (void)pool.acquire(2);
  pool.advance(1);
  EXPECT_EQ(pool.dial_failed(1),
            "failed r1 c1; dequeued r2 max_conns_per_host slot_freed waited=1 by r0 [r1/c1=1]; dial c2 r2 no_idle");
  EXPECT_EQ(pool.dialled(2), "deliver c2 r2 new");
}

TEST(PoolQueue, ADialNobodyWaitsForIsDonated) {
  PoolScript pool({.max_conns_per_host = 1});
  (void)pool.acquire(1);
  (void)pool.acquire(2);
  pool.advance(1);
  EXPECT_EQ(pool.cancel(1), "") << "the dial keeps its slot";
  pool.advance(3);
  EXPECT_EQ(pool.dialled(1),
            "put c1 r0 to r2; "
            "dequeued r2 max_conns_per_host dial_donated waited=4 by r0 [r0/c1=0.75 r1/c1=0.25]; deliver c1 r2 new");
}

TEST(PoolQueue, OneCancelledWhileQueuedTakesNoSlot) {  // TestTransportMaxConnsPerHostDialCancellation
  PoolScript pool({.max_conns_per_host = 1});
  (void)pool.acquire(1);
  (void)pool.dialled(1);
  (void)pool.acquire(2);
  (void)pool.acquire(3);
  pool.advance(1);
  EXPECT_EQ(pool.cancel(2), "dequeued r2 max_conns_per_host cancelled waited=1 by r0 [r1/c1=1]");
  pool.advance(1);
  EXPECT_EQ(pool.cancel(3, QueueOutcome::timeout), "dequeued r3 max_conns_per_host timeout waited=2 by r0 [r1/c1=1]");
  EXPECT_EQ(pool.release(1), "put c1 r1");
  EXPECT_EQ(pool.counts(), "1/0/0/0");
  EXPECT_EQ(pool.acquire(4), "deliver c1 r4 reused idle=0");
}

TEST(PoolQueue, ShutdownEndsTheWait) {
  PoolScript pool({.max_conns_per_host = 1});
  (void)pool.acquire(1);
  (void)pool.acquire(2);
  EXPECT_EQ(pool.cancel(2, QueueOutcome::shutdown), "dequeued r2 max_conns_per_host shutdown waited=0 by r0 [r1/c1=1]");
}

TEST(PoolQueue, WithoutKeepAlivesOnlySlotsAreGivenOn) {
  PoolScript pool({.max_conns_per_host = 1, .disable_keep_alives = true});
  (void)pool.acquire(1);
  (void)pool.dialled(1);
  (void)pool.acquire(2);
  pool.advance(1);
  EXPECT_EQ(pool.release(1),
            "close c1 keep_alives_disabled; dequeued r2 max_conns_per_host slot_freed waited=1 by r1 [r1/c1=1]; "
            "dial c2 r2 keep_alives_disabled");
}

TEST(PoolQueue, AnIdleConnectionOfAnotherKeyHoldsNoSlot) {
  PoolScript pool({.max_conns_per_host = 1});
  pool.warm(1, "b:80");
  EXPECT_EQ(pool.acquire(1, "a:80"), "dial c2 r1 no_idle");
}

TEST(PoolQueue, AStaleIdleConnectionGivesItsSlotToTheRequestThatFindsIt) {
  PoolScript pool({.max_conns_per_host = 1, .idle_conn_timeout = std::chrono::seconds(10)});
  pool.warm(1);
  pool.advance(11);
  EXPECT_EQ(pool.acquire(1), "close c1 idle_timeout idle=11; dial c2 r1 idle_expired c1:idle_expired");
}

TEST(PoolQueue, ADiallingWaiterIsServedBeforeThoseWhoQueueBehindIt) {
  PoolScript pool({.max_conns_per_host = 2});
  (void)pool.acquire(1);
  (void)pool.dialled(1);
  (void)pool.acquire(2);
  EXPECT_EQ(pool.acquire(3), "queued r3 max_conns_per_host 2 1/1 [r1/c1 r2/c2]");
  pool.advance(1);
  EXPECT_EQ(pool.release(1), "put c1 r1 to r2; deliver c1 r2 reused");
  pool.advance(1);
  EXPECT_EQ(pool.dialled(2),
            "put c2 r0 to r3; "
            "dequeued r3 max_conns_per_host dial_donated waited=2 by r0 "
            "[r1/c1=0.25 r2/c1=0.25 r0/c2=0.25 r2/c2=0.25]; deliver c2 r3 new");
}

TEST(PoolHolders, SharesAreOfTheWaitAlone) {
  PoolScript pool({.max_conns_per_host = 2});
  (void)pool.acquire(1);
  (void)pool.acquire(2);
  (void)pool.dialled(1);
  (void)pool.dialled(2);
  pool.advance(100);
  (void)pool.acquire(3);
  pool.advance(4);
  EXPECT_EQ(pool.release(1),
            "put c1 r1 to r3; dequeued r3 max_conns_per_host handoff waited=4 by r1 [r1/c1=0.5 r2/c2=0.5]; "
            "deliver c1 r3 reused");
}

TEST(PoolHolders, ARequestThatComesBackIsOneHolderOfTheNextWait) {
  PoolScript pool({.max_conns_per_host = 1});
  (void)pool.acquire(1);
  (void)pool.dialled(1);
  (void)pool.acquire(2);
  (void)pool.release(1);  // to 2
  (void)pool.acquire(1);  // its redirect
  (void)pool.acquire(3);
  pool.advance(1);
  (void)pool.release(1);  // to 1
  pool.advance(1);
  (void)pool.acquire(2);
  EXPECT_EQ(pool.release(1),
            "put c1 r1 to r3; dequeued r3 max_conns_per_host handoff waited=2 by r1 [r1/c1=0.5 r2/c1=0.5]; "
            "deliver c1 r3 reused");
  pool.advance(2);
  EXPECT_EQ(pool.release(1),
            "put c1 r3 to r2; dequeued r2 max_conns_per_host handoff waited=2 by r3 [r3/c1=1]; deliver c1 r2 reused");
}

TEST(PoolHolders, AWaitOfNoLengthIsSharedByThoseWhoHeldSlotsDuringIt) {
  PoolScript pool({.max_conns_per_host = 1});
  (void)pool.acquire(1);
  (void)pool.dialled(1);
  (void)pool.acquire(2);
  (void)pool.acquire(3);
  (void)pool.release(1);  // to 2
  EXPECT_EQ(pool.acquire(4), "queued r4 max_conns_per_host 1 2/2 [r2/c1]");
  EXPECT_EQ(pool.cancel(4), "dequeued r4 max_conns_per_host cancelled waited=0 by r0 [r2/c1=1]") << "1 was gone before";
  EXPECT_EQ(pool.release(1),
            "put c1 r2 to r3; dequeued r3 max_conns_per_host handoff waited=0 by r2 [r1/c1=0.5 r2/c1=0.5]; "
            "deliver c1 r3 reused");
}

TEST(PoolHolders, AVeryLongWaitKeepsItsLargestHolders) {
  PoolScript pool({.max_conns_per_host = 1});
  (void)pool.acquire(1);
  (void)pool.dialled(1);
  constexpr RequestId kTurns = 1000;
  for (RequestId r = 2; r <= kTurns; ++r) (void)pool.acquire(r);
  Actions out;
  for (RequestId r = 1; r < kTurns; ++r) {
    pool.advance(r == 3 ? 1000 : 1);
    out.clear();
    pool.core.release(1, std::nullopt, pool.now, out);
  }
  const auto& last = std::get<Dequeued>(out[1]);
  EXPECT_EQ(last.request, kTurns);
  EXPECT_EQ(last.holders.size(), 16u);
  EXPECT_EQ(last.holders[0].request, 3u);
  const double whole = 1000 + kTurns - 2;
  EXPECT_NEAR(last.holders[0].share, 1000 / whole, 1e-12);
  EXPECT_NEAR(last.holders[1].share, 1 / whole, 1e-12);
  double listed = 0;
  for (const Slot& slot : last.holders) listed += slot.share;
  EXPECT_NEAR(listed + last.others_share, 1, 1e-12);
  EXPECT_GT(last.others_share, 0.3);
}

}  // namespace
}  // namespace conntrace::pool
