// SPDX-License-Identifier: Apache-2.0
#include "pool/pool_core.h"

#include <gtest/gtest.h>

#include "pool_script.h"

namespace conntrace::pool {
namespace {

using enum CloseReason;

// Numbers in comments are those of Go's tests in net/http, whose behaviour these replay.

TEST(PoolReuse, SequentialRequestsUseOneConnection) {  // TestTransportKeepAlives
  PoolScript pool;
  EXPECT_EQ(pool.acquire(1), "dial c1 r1 no_idle");
  EXPECT_EQ(pool.counts(), "0/0/1/0");
  EXPECT_EQ(pool.dialled(1), "deliver c1 r1 new");
  EXPECT_EQ(pool.counts(), "0/1/0/0");
  EXPECT_EQ(pool.release(1), "put c1 r1");
  EXPECT_EQ(pool.counts(), "1/0/0/0");
  pool.advance(5);
  EXPECT_EQ(pool.acquire(2), "deliver c1 r2 reused idle=5");
  EXPECT_EQ(pool.release(1), "put c1 r2");
  EXPECT_EQ(pool.core.snapshot().reused, 1u);
  EXPECT_EQ(pool.core.snapshot().dials, 1u);
}

TEST(PoolReuse, MostRecentlyUsedFirst) {
  PoolScript pool({.max_idle_conns_per_host = 3});
  pool.warm(3);
  EXPECT_EQ(pool.acquire(1), "deliver c3 r1 reused idle=0");
  EXPECT_EQ(pool.acquire(2), "deliver c2 r2 reused idle=0");
  EXPECT_EQ(pool.release(3), "put c3 r1");
  EXPECT_EQ(pool.acquire(3), "deliver c3 r3 reused idle=0");
  EXPECT_EQ(pool.acquire(4), "deliver c1 r4 reused idle=0");
}

TEST(PoolReuse, AConnectionInUseIsNotShared) {  // TestTransportPoolConnCannotReuseConnectionInUse
  PoolScript pool;
  (void)pool.acquire(1);
  (void)pool.dialled(1);
  EXPECT_EQ(pool.acquire(2), "dial c2 r2 all_busy c1:all_busy");
}

TEST(PoolReuse, KeysDoNotShare) {  // TestTransportIdleCacheKeys, 3.1
  PoolScript pool;
  pool.warm(1);
  EXPECT_EQ(pool.acquire(1, "b:80"), "dial c2 r1 no_idle");
  EXPECT_EQ(pool.acquire(2, Key{"", "https", "a:80"}), "dial c3 r2 key_differs c1:key_differs");
  EXPECT_EQ(pool.acquire(3, Key{"http://p:1", "http", "a:80"}), "dial c4 r3 key_differs c1:key_differs");
  EXPECT_EQ(pool.acquire(4), "deliver c1 r4 reused idle=0");
}

TEST(PoolReuse, WhatWasNotDeliveredWasNotUsed) {
  PoolScript pool({.max_requests_per_conn = 1});
  (void)pool.acquire(1);
  EXPECT_EQ(pool.dialled(1), "deliver c1 r1 new");
  EXPECT_EQ(pool.take_back(1), "put c1 r1");
  EXPECT_EQ(pool.acquire(2), "deliver c1 r2 new idle=0");
  EXPECT_EQ(pool.core.snapshot().reused, 0u);
  EXPECT_EQ(pool.take_back(1, stale_on_check), "close c1 stale_on_check");
  EXPECT_EQ(pool.core.snapshot().reused, 0u);
}

TEST(PoolReuse, AnUnusableConnectionIsClosedWithoutPut) {  // TestTransportConnectionCloseOnResponse
  PoolScript pool;
  (void)pool.acquire(1);
  (void)pool.dialled(1);
  EXPECT_EQ(pool.release(1, connection_close_response), "close c1 connection_close_response");
  EXPECT_EQ(pool.counts(), "0/0/0/0");
  EXPECT_EQ(pool.core.snapshot().closed, 1u);
  EXPECT_EQ(pool.acquire(2), "dial c2 r2 no_idle");
}

TEST(PoolReuse, KeepAlivesDisabledClosesAfterOneRequest) {  // TestTransportPoolDisableKeepAlives
  for (const Limits& limits : {Limits{.disable_keep_alives = true}, Limits{.max_idle_conns_per_host = -1}}) {
    PoolScript pool(limits);
    EXPECT_EQ(pool.acquire(1), "dial c1 r1 keep_alives_disabled");
    EXPECT_EQ(pool.dialled(1), "deliver c1 r1 new");
    EXPECT_EQ(pool.release(1), "close c1 keep_alives_disabled");
    EXPECT_EQ(pool.acquire(2), "dial c2 r2 keep_alives_disabled");
  }
}

TEST(PoolIdleLimits, PerHostRefusesTheReturningConnection) {  // TestTransportMaxPerHostIdleConns
  PoolScript pool;                                            // 0 would mean 2 too
  for (RequestId r = 1; r <= 3; ++r) (void)pool.acquire(r);
  for (ConnectionId c = 1; c <= 3; ++c) (void)pool.dialled(c);
  EXPECT_EQ(pool.release(1), "put c1 r1");
  EXPECT_EQ(pool.release(2), "put c2 r2");
  EXPECT_EQ(pool.release(3), "put c3 r3 refused max_idle_conns_per_host; close c3 max_idle_conns_per_host");
  EXPECT_EQ(pool.counts(), "2/0/0/0");
  EXPECT_EQ(pool.acquire(4), "deliver c2 r4 reused idle=0");
}

TEST(PoolIdleLimits, ZeroPerHostMeansTwo) {
  PoolScript pool({.max_idle_conns_per_host = 0});
  pool.warm(3);
  EXPECT_EQ(pool.counts(), "2/0/0/0");
}

TEST(PoolIdleLimits, PerHostLeavesOtherHostsAlone) {  // TestTransportPoolClosesConnsPastMaxIdleConnsPerHost
  PoolScript pool({.max_idle_conns_per_host = 1});
  pool.warm(1, "b:80");
  pool.warm(2, "a:80");
  EXPECT_EQ(pool.counts(), "2/0/0/0");
  EXPECT_EQ(pool.acquire(1, "b:80"), "deliver c1 r1 reused idle=0");
  EXPECT_EQ(pool.acquire(2, "a:80"), "deliver c2 r2 reused idle=0");
}

TEST(PoolIdleLimits, GlobalEvictsTheLeastRecentlyUsedOfAnyKey) {
  PoolScript pool({.max_idle_conns = 2});
  pool.warm(1, "a:80");
  pool.advance(1);
  pool.warm(1, "b:80");
  (void)pool.acquire(1, "c:80");
  (void)pool.dialled(3);
  pool.advance(2);
  EXPECT_EQ(pool.release(3), "put c3 r1; close c1 max_idle_conns idle=3");
  EXPECT_EQ(pool.acquire(2, "a:80"), "dial c4 r2 idle_evicted c1:idle_evicted");
}

TEST(PoolIdleLimits, GlobalZeroMeansNoLimit) {
  PoolScript pool({.max_idle_conns = 0, .max_idle_conns_per_host = 1000});
  pool.warm(300);
  EXPECT_EQ(pool.counts(), "300/0/0/0");
}

TEST(PoolIdleTimeout, ClosesWhatWasIdleForIt) {  // TestTransportIdleConnTimeout
  PoolScript pool({.idle_conn_timeout = std::chrono::seconds(10)});
  EXPECT_EQ(pool.core.next_deadline(), std::nullopt);
  (void)pool.acquire(1);
  (void)pool.dialled(1);
  EXPECT_EQ(pool.core.next_deadline(), std::nullopt);
  (void)pool.release(1);
  EXPECT_EQ(pool.core.next_deadline(), pool.now + std::chrono::seconds(10));
  for (RequestId r = 2; r < 5; ++r) {
    pool.advance(5);
    EXPECT_EQ(pool.expire(), "");
    EXPECT_EQ(pool.acquire(r), fmt::format("deliver c1 r{} reused idle=5", r));
    EXPECT_EQ(pool.release(1), fmt::format("put c1 r{}", r));
  }
  pool.advance(9.999);
  EXPECT_EQ(pool.expire(), "");
  pool.advance(0.001);
  EXPECT_EQ(pool.expire(), "close c1 idle_timeout idle=10");
  EXPECT_EQ(pool.core.next_deadline(), std::nullopt);
  EXPECT_EQ(pool.acquire(9), "dial c2 r9 idle_expired c1:idle_expired");
}

TEST(PoolIdleTimeout, ClosesInTheOrderOfDeadlines) {
  PoolScript pool({.idle_conn_timeout = std::chrono::seconds(10)});
  pool.warm(1, "a:80");
  pool.advance(1);
  pool.warm(1, "b:80");
  pool.advance(1);
  EXPECT_EQ(pool.acquire(1, "a:80"), "deliver c1 r1 reused idle=2");
  (void)pool.release(1);
  EXPECT_EQ(pool.core.next_deadline(), pool.now + std::chrono::seconds(8)) << "where c1 stood before it was used";
  pool.advance(8);
  EXPECT_EQ(pool.expire(), "");
  EXPECT_EQ(pool.core.next_deadline(), pool.now + std::chrono::seconds(1)) << "c2";
  pool.advance(12);
  EXPECT_EQ(pool.expire(), "close c2 idle_timeout idle=21; close c1 idle_timeout idle=20");
}

TEST(PoolIdleTimeout, StaleOnesAreNotReusedThoughNoTimerRan) {  // 3.4: a suspended machine
  PoolScript pool({.idle_conn_timeout = std::chrono::seconds(10)});
  pool.warm(2);
  pool.advance(10);
  EXPECT_EQ(pool.acquire(1), "deliver c2 r1 reused idle=10") << "Go: older than, not as old as";
  pool.advance(0.5);
  EXPECT_EQ(pool.acquire(2), "close c1 idle_timeout idle=10.5; dial c3 r2 idle_expired c1:idle_expired c2:all_busy");
}

TEST(PoolIdleTimeout, NoneWithoutOne) {
  for (const MonoTime timeout : {MonoTime::zero(), MonoTime(-1), MonoTime::max()}) {
    PoolScript pool({.idle_conn_timeout = timeout});
    pool.warm(1);
    EXPECT_EQ(pool.core.next_deadline(), std::nullopt);
    pool.advance(1e9);
    EXPECT_EQ(pool.expire(), "");
    EXPECT_EQ(pool.acquire(1), "deliver c1 r1 reused idle=1e+09");
  }
}

TEST(PoolPeerClosed, AnIdleConnectionGoesAtOnce) {  // 3.7
  PoolScript pool;
  pool.warm(2);
  pool.advance(3);
  EXPECT_EQ(pool.peer_closed(2), "close c2 server_closed_idle idle=3");
  EXPECT_EQ(pool.peer_closed(2), "") << "known no more";
  EXPECT_EQ(pool.acquire(1), "deliver c1 r1 reused idle=3");
  EXPECT_EQ(pool.peer_closed(1), "") << "in use: its request finds out";
  EXPECT_EQ(pool.acquire(2), "dial c3 r2 idle_dead c2:idle_dead c1:all_busy");
}

TEST(PoolPeerClosed, FoundDeadWhenReusedExplainsTheNextDial) {
  PoolScript pool;
  pool.warm(1);
  (void)pool.acquire(1);
  EXPECT_EQ(pool.release(1, stale_on_check), "close c1 stale_on_check");
  EXPECT_EQ(pool.acquire(1), "dial c2 r1 idle_dead c1:idle_dead");
}

TEST(PoolCloseIdle, ClosesIdleOnesAndWhatReturnsBeforeTheNextAcquire) {  // 2.1, TestCloseIdleConnections
  PoolScript pool;
  pool.warm(2);
  (void)pool.acquire(1);
  (void)pool.acquire(2, "b:80");
  (void)pool.dialled(3);
  pool.advance(1);
  EXPECT_EQ(pool.close_idle_connections(), "close c1 close_idle_connections idle=1");
  EXPECT_EQ(pool.release(2), "put c2 r1 refused close_idle_connections; close c2 close_idle_connections");
  EXPECT_EQ(pool.acquire(3, "b:80"), "dial c4 r3 all_busy c3:all_busy") << "this re-arms keeping, for all keys";
  EXPECT_EQ(pool.dialled(4), "deliver c4 r3 new");
  EXPECT_EQ(pool.release(3), "put c3 r2");
  EXPECT_EQ(pool.acquire(4), "dial c5 r4 idle_evicted c2:idle_evicted c1:idle_evicted");
}

TEST(PoolCloseIdle, AWaiterStillGetsWhatReturns) {  // 3.6: waiters come before closeIdle
  PoolScript pool;
  (void)pool.acquire(1);
  (void)pool.dialled(1);
  (void)pool.acquire(2);
  EXPECT_EQ(pool.close_idle_connections(), "");
  EXPECT_EQ(pool.release(1), "put c1 r1 to r2; deliver c1 r2 reused");
}

TEST(PoolCloseIdle, EndsDialsNobodyWaitsFor) {
  PoolScript pool({.max_conns_per_host = 2});
  (void)pool.acquire(1);
  (void)pool.acquire(2);
  (void)pool.acquire(3);
  (void)pool.cancel(1);
  EXPECT_EQ(pool.close_idle_connections(),
            "close c1 close_idle_connections; "
            "dequeued r3 max_conns_per_host slot_freed waited=0 by r0 [r0/c1=0.333 r1/c1=0.333 r2/c2=0.333]; "
            "dial c3 r3 no_idle");
  EXPECT_EQ(pool.dialled(1), "") << "the end of a dial that was closed meanwhile is no news";
  EXPECT_EQ(pool.dial_failed(1), "");
  EXPECT_EQ(pool.counts(), "0/0/2/0");
}

TEST(PoolClock, ATimeBeforeTheLatestCountsAsTheLatest) {
  PoolScript pool;
  pool.warm(1);
  pool.advance(5);
  (void)pool.acquire(1);
  pool.advance(-3);
  (void)pool.release(1);
  pool.advance(4);
  EXPECT_EQ(pool.acquire(2), "deliver c1 r2 reused idle=1");
}

TEST(PoolCore, MovesWithItsState) {
  PoolScript pool;
  pool.warm(1);
  PoolCore moved = std::move(pool.core);
  EXPECT_EQ(moved.snapshot().idle, 1u);
  pool.core = std::move(moved);
  EXPECT_EQ(pool.acquire(1), "deliver c1 r1 reused idle=0");
}

}  // namespace
}  // namespace conntrace::pool
