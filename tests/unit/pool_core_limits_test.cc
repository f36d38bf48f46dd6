// SPDX-License-Identifier: Apache-2.0
// Limits that Go does not have.
#include <gtest/gtest.h>

#include "pool/limits.h"
#include "pool/pool_core.h"
#include "pool_script.h"

namespace conntrace::pool {
namespace {

using enum CloseReason;
using std::chrono::seconds;

TEST(PoolTotal, BeyondItRequestsOfAllKeysWaitFirstInFirstOut) {
  PoolScript pool({.max_total_conns = 2});
  (void)pool.acquire(1, "a:80");
  (void)pool.acquire(2, "b:80");
  EXPECT_EQ(pool.acquire(3, "c:80"), "queued r3 max_total_conns 2 1/1 [r1/c1 r2/c2]");
  EXPECT_EQ(pool.acquire(4, "a:80"), "queued r4 max_total_conns 2 2/2 [r1/c1 r2/c2]");
  (void)pool.dialled(1);
  pool.advance(2);
  EXPECT_EQ(pool.release(1, connection_close_response),
            "close c1 connection_close_response; "
            "dequeued r3 max_total_conns slot_freed waited=2 by r1 [r1/c1=0.5 r2/c2=0.5]; dial c3 r3 no_idle");
  EXPECT_EQ(pool.counts(), "0/0/2/1");
}

TEST(PoolTotal, TheLeastRecentlyUsedIdleOneOfAnotherKeyMakesRoom) {
  PoolScript pool({.max_total_conns = 2});
  pool.warm(1, "a:80");
  pool.advance(1);
  pool.warm(1, "b:80");
  pool.advance(1);
  EXPECT_EQ(pool.acquire(1, "c:80"), "close c1 max_total_conns idle=2; dial c3 r1 no_idle");
  EXPECT_EQ(pool.acquire(2, "b:80"), "deliver c2 r2 reused idle=1");
  EXPECT_EQ(pool.acquire(3, "a:80"), "queued r3 max_total_conns 2 1/1 [r2/c2 r1/c3]");
  (void)pool.dialled(3);
  EXPECT_EQ(pool.release(3, read_error),
            "close c3 read_error; dequeued r3 max_total_conns slot_freed waited=0 by r1 [r2/c2=0.5 r1/c3=0.5]; "
            "dial c4 r3 idle_evicted c1:idle_evicted");
}

TEST(PoolTotal, WhileSomebodyWaitsNothingIsKeptIdle) {
  PoolScript pool({.max_total_conns = 1});
  (void)pool.acquire(1, "a:80");
  (void)pool.dialled(1);
  (void)pool.acquire(2, "b:80");
  EXPECT_EQ(pool.release(1),
            "put c1 r1 refused max_total_conns; close c1 max_total_conns; "
            "dequeued r2 max_total_conns slot_freed waited=0 by r1 [r1/c1=1]; dial c2 r2 no_idle");
}

TEST(PoolTotal, AReturnedConnectionOfItsKeyEndsTheWait) {
  PoolScript pool({.max_total_conns = 1});
  (void)pool.acquire(1, "a:80");
  (void)pool.dialled(1);
  (void)pool.acquire(2, "b:80");
  (void)pool.acquire(3, "a:80");
  EXPECT_EQ(pool.release(1),
            "put c1 r1 to r3; dequeued r3 max_total_conns handoff waited=0 by r1 [r1/c1=1]; deliver c1 r3 reused")
      << "a connection that can be used is never closed for one that must be dialled";
}

TEST(PoolTotal, WhoWaitsForItHasASlotOfItsKey) {
  PoolScript pool({.max_conns_per_host = 1, .max_total_conns = 1});
  (void)pool.acquire(1, "a:80");
  (void)pool.dialled(1);
  EXPECT_EQ(pool.acquire(2, "b:80"), "queued r2 max_total_conns 1 1/1 [r1/c1]");
  EXPECT_EQ(pool.acquire(3, "b:80"), "queued r3 max_conns_per_host 1 1/1 [r2/c0]");
  pool.advance(1);
  EXPECT_EQ(pool.cancel(2),
            "dequeued r2 max_total_conns cancelled waited=1 by r0 [r1/c1=1]; "
            "dequeued r3 max_conns_per_host slot_freed waited=1 by r0 [r2/c0=1]; "
            "queued r3 max_total_conns 1 1/1 [r1/c1]");
}

TEST(PoolDials, BeyondTheLimitRequestsWaitForADialToEnd) {
  PoolScript pool({.max_concurrent_dials = 1});
  (void)pool.acquire(1, "a:80");
  EXPECT_EQ(pool.acquire(2, "b:80"), "queued r2 max_concurrent_dials 1 1/1 [r1/c1]");
  EXPECT_EQ(pool.acquire(3, "c:80"), "queued r3 max_concurrent_dials 1 2/2 [r1/c1]");
  pool.advance(1);
  EXPECT_EQ(pool.dialled(1),
            "deliver c1 r1 new; dequeued r2 max_concurrent_dials slot_freed waited=1 by r1 [r1/c1=1]; "
            "dial c2 r2 no_idle");
  pool.advance(1);
  EXPECT_EQ(pool.dial_failed(2),
            "failed r2 c2; dequeued r3 max_concurrent_dials slot_freed waited=2 by r0 [r1/c1=0.5 r2/c2=0.5]; "
            "dial c3 r3 no_idle");
}

TEST(PoolDials, LateBindingStillApplies) {
  PoolScript pool({.max_concurrent_dials = 1});
  (void)pool.acquire(1, "a:80");
  (void)pool.dialled(1);
  (void)pool.acquire(2, "b:80");
  EXPECT_EQ(pool.acquire(3, "a:80"), "queued r3 max_concurrent_dials 1 1/1 [r2/c2]");
  pool.advance(1);
  EXPECT_EQ(pool.release(1),
            "put c1 r1 to r3; dequeued r3 max_concurrent_dials handoff waited=1 by r1 [r2/c2=1]; deliver c1 r3 reused");
  EXPECT_EQ(pool.counts(), "0/1/1/0");
}

TEST(PoolDials, ADialNobodyWaitsForStillCounts) {
  PoolScript pool({.max_concurrent_dials = 1});
  (void)pool.acquire(1, "a:80");
  (void)pool.acquire(2, "b:80");
  pool.advance(1);
  (void)pool.cancel(1);
  pool.advance(1);
  EXPECT_EQ(pool.dialled(1),
            "put c1 r0; dequeued r2 max_concurrent_dials slot_freed waited=2 by r0 [r0/c1=0.5 r1/c1=0.5]; "
            "dial c2 r2 no_idle");
}

TEST(PoolDials, WhoWaitsForOneHasItsOtherSlots) {
  PoolScript pool({.max_conns_per_host = 1, .max_total_conns = 2, .max_concurrent_dials = 1});
  (void)pool.acquire(1, "a:80");
  (void)pool.acquire(2, "b:80");
  EXPECT_EQ(pool.acquire(3, "b:80"), "queued r3 max_conns_per_host 1 1/1 [r2/c0]");
  EXPECT_EQ(pool.acquire(4, "c:80"), "queued r4 max_total_conns 2 1/1 [r1/c1 r2/c0]");
  EXPECT_EQ(pool.counts(), "0/0/1/3");
}

TEST(PoolMaxQueue, BeyondItARequestIsRefusedAtOnce) {
  PoolScript pool({.max_conns_per_host = 1, .max_queue = 2});
  for (RequestId r = 1; r <= 3; ++r) (void)pool.acquire(r);
  EXPECT_EQ(pool.acquire(4), "refused r4 2");
  EXPECT_EQ(pool.acquire(5, "b:80"), "dial c2 r5 no_idle") << "it is per host";
  EXPECT_EQ(pool.counts(), "0/0/2/2");
  EXPECT_EQ(pool.core.snapshot().refused, 1u);
  (void)pool.cancel(2);
  EXPECT_EQ(pool.acquire(6), "queued r6 max_conns_per_host 1 2/2 [r1/c1]");
  EXPECT_EQ(pool.cancel(4), "") << "it does not wait";
}

TEST(PoolMaxQueue, CountsWhoeverWaitsBehindAnyLimit) {
  PoolScript pool({.max_total_conns = 1, .max_queue = 1});
  (void)pool.acquire(1, "a:80");
  (void)pool.acquire(2, "b:80");
  EXPECT_EQ(pool.acquire(3, "b:80"), "refused r3 1");
  EXPECT_EQ(pool.acquire(4, "c:80"), "queued r4 max_total_conns 1 2/2 [r1/c1]");
}

TEST(PoolLifetime, AnOldConnectionIsNotKept) {
  PoolScript pool({.max_conn_lifetime = seconds(10)});
  (void)pool.acquire(1);
  pool.advance(100);
  (void)pool.dialled(1);
  pool.advance(9);
  EXPECT_EQ(pool.release(1), "put c1 r1") << "a life begins when the dial ends";
  EXPECT_EQ(pool.acquire(2), "deliver c1 r2 reused idle=0");
  pool.advance(1);
  EXPECT_EQ(pool.release(1), "put c1 r2 refused max_lifetime; close c1 max_lifetime");
  EXPECT_EQ(pool.acquire(3), "dial c2 r3 max_lifetime c1:max_lifetime");
}

TEST(PoolLifetime, ItEndsIdleOnesToo) {
  PoolScript pool({.max_conn_lifetime = seconds(10)});
  pool.warm(1);
  EXPECT_EQ(pool.core.next_deadline(), pool.now + seconds(10));
  pool.advance(10);
  EXPECT_EQ(pool.acquire(1), "deliver c1 r1 reused idle=10");
  pool.advance(-10);
  (void)pool.release(1, read_error);
  pool.warm(1);
  pool.advance(20);
  EXPECT_EQ(pool.expire(), "close c2 max_lifetime idle=10");
}

TEST(PoolLifetime, AnOldOneIsNotHandedToAWaiter) {
  PoolScript pool({.max_conns_per_host = 1, .max_conn_lifetime = seconds(1)});
  (void)pool.acquire(1);
  (void)pool.dialled(1);
  (void)pool.acquire(2);
  pool.advance(1);
  EXPECT_EQ(
      pool.release(1),
      "put c1 r1 refused max_lifetime; close c1 max_lifetime; "
      "dequeued r2 max_conns_per_host slot_freed waited=1 by r1 [r1/c1=1]; dial c2 r2 max_lifetime c1:max_lifetime");
}

TEST(PoolLifetime, JitterTakesADifferentPartOffEach) {
  const KeyLimits limits{.lifetime = seconds(100), .jitter = 0.2};
  MonoTime least = MonoTime::max();
  MonoTime most{};
  for (ConnectionId c = 1; c <= 1000; ++c) {
    const MonoTime lifetime = lifetime_of(c, limits);
    EXPECT_EQ(lifetime, lifetime_of(c, limits));
    least = std::min(least, lifetime);
    most = std::max(most, lifetime);
  }
  EXPECT_GE(least, seconds(80));
  EXPECT_LT(least, seconds(81));
  EXPECT_LE(most, seconds(100));
  EXPECT_GT(most, seconds(99));
  EXPECT_EQ(lifetime_of(7, {.lifetime = seconds(100)}), seconds(100));
  EXPECT_EQ(lifetime_of(7, {.lifetime = MonoTime::max(), .jitter = 0.5}), MonoTime::max());
}

TEST(PoolRequests, TheLastAllowedOneClosesTheConnection) {
  PoolScript pool({.max_requests_per_conn = 2});
  pool.warm(1);
  EXPECT_EQ(pool.acquire(1), "deliver c1 r1 reused idle=0");
  EXPECT_EQ(pool.release(1), "put c1 r1 refused max_requests; close c1 max_requests");
  EXPECT_EQ(pool.acquire(2), "dial c2 r2 max_requests c1:max_requests");
}

TEST(PoolKeepAlive, MaxIsWhatTheServerStillAnswers) {
  PoolScript pool;
  (void)pool.acquire(1);
  (void)pool.dialled(1);
  EXPECT_EQ(pool.release(1, {}, {.max = 1}), "put c1 r1");
  (void)pool.acquire(2);
  EXPECT_EQ(pool.release(1), "put c1 r2 refused max_requests; close c1 max_requests")
      << "though it did not say so again";
  (void)pool.acquire(3);
  (void)pool.dialled(2);
  EXPECT_EQ(pool.release(2, {}, {.max = 0}), "put c2 r3 refused max_requests; close c2 max_requests");
}

TEST(PoolKeepAlive, AServerThatAlwaysSaysTheSameMaxIsBelieved) {
  PoolScript pool({.max_requests_per_conn = 4});
  (void)pool.acquire(1);
  (void)pool.dialled(1);
  for (RequestId r = 2; r <= 4; ++r) {
    EXPECT_EQ(pool.release(1, {}, {.max = 1}), fmt::format("put c1 r{}", r - 1));
    (void)pool.acquire(r);
  }
  EXPECT_EQ(pool.release(1, {}, {.max = 1}), "put c1 r4 refused max_requests; close c1 max_requests") << "our limit";
}

TEST(PoolKeepAlive, TheTimeoutEndsIdleOnesASecondEarlier) {
  PoolScript pool;
  (void)pool.acquire(1);
  (void)pool.dialled(1);
  EXPECT_EQ(pool.release(1, {}, {.timeout = seconds(5)}), "put c1 r1");
  EXPECT_EQ(pool.core.next_deadline(), pool.now + seconds(4));
  pool.advance(4);
  EXPECT_EQ(pool.acquire(2), "deliver c1 r2 reused idle=4");
  EXPECT_EQ(pool.release(1), "put c1 r2") << "the server need not say it again";
  pool.advance(4.5);
  EXPECT_EQ(pool.acquire(3), "close c1 keep_alive_timeout idle=4.5; dial c2 r3 idle_expired c1:idle_expired");
}

TEST(PoolKeepAlive, ALongerTimeoutThanOursChangesNothing) {
  PoolScript pool({.idle_conn_timeout = seconds(10)});
  (void)pool.acquire(1);
  (void)pool.dialled(1);
  (void)pool.release(1, {}, {.timeout = seconds(60)});
  pool.advance(10);
  EXPECT_EQ(pool.expire(), "close c1 idle_timeout idle=10");
}

TEST(PoolKeepAlive, ZeroMeansNotToBeUsedAgain) {
  PoolScript pool;
  (void)pool.acquire(1);
  (void)pool.dialled(1);
  EXPECT_EQ(pool.release(1, {}, {.timeout = MonoTime::zero()}),
            "put c1 r1 refused keep_alive_timeout; close c1 keep_alive_timeout");
}

TEST(PoolKeepAlive, TheMarginOfAShortTimeoutIsAQuarter) {
  EXPECT_EQ(safe_idle_time(seconds(60)), seconds(59));
  EXPECT_EQ(safe_idle_time(seconds(2)), MonoTime(1'500'000'000));
  EXPECT_EQ(safe_idle_time(MonoTime::zero()), MonoTime::zero());
  EXPECT_EQ(safe_idle_time(MonoTime::max()), MonoTime::max());
}

TEST(PoolKeepAlive, OneConnectionsShortTimeHidesNoOther) {
  PoolScript pool;
  pool.warm(1);
  (void)pool.acquire(1);
  (void)pool.acquire(2);
  (void)pool.dialled(2);
  (void)pool.release(1);
  (void)pool.release(2, {}, {.timeout = seconds(2)});
  pool.advance(3);
  EXPECT_EQ(pool.acquire(3), "close c2 keep_alive_timeout idle=3; deliver c1 r3 reused idle=3");
}

TEST(PoolIdleOrder, LeastRecentlyUsedFirst) {
  PoolScript pool({.max_idle_conns_per_host = 3, .idle_order = IdleOrder::least_recently_used});
  pool.warm(3);
  EXPECT_EQ(pool.acquire(1), "deliver c1 r1 reused idle=0");
  (void)pool.release(1);
  EXPECT_EQ(pool.acquire(2), "deliver c2 r2 reused idle=0");
  EXPECT_EQ(pool.acquire(3), "deliver c3 r3 reused idle=0");
  EXPECT_EQ(pool.acquire(4), "deliver c1 r4 reused idle=0");
}

TEST(PoolHostLimits, OverrideWhatIsPerHost) {
  Limits limits{.max_idle_conns_per_host = 1, .max_conns_per_host = 1};
  limits.hosts["big:80"] = {.max_idle_conns_per_host = 3,
                            .max_conns_per_host = 0,
                            .idle_conn_timeout = seconds(5),
                            .max_requests_per_conn = 7};
  limits.hosts["once:80"] = {.max_idle_conns_per_host = -1};
  PoolScript pool(limits);
  pool.warm(3, "big:80");
  EXPECT_EQ(pool.counts(), "3/0/0/0");
  EXPECT_EQ(pool.acquire(1, Key{"http://p:1", "https", "big:80"}),
            "dial c4 r1 key_differs c1:key_differs c2:key_differs c3:key_differs")
      << "whatever the scheme and proxy";
  EXPECT_EQ(pool.acquire(2, "once:80"), "dial c5 r2 keep_alives_disabled");
  (void)pool.dialled(5);
  EXPECT_EQ(pool.release(5), "close c5 keep_alives_disabled");
  (void)pool.acquire(3, "small:80");
  EXPECT_EQ(pool.acquire(4, "small:80"), "queued r4 max_conns_per_host 1 1/1 [r3/c6]");
  pool.advance(5);
  EXPECT_EQ(pool.expire(), "close c1 idle_timeout idle=5; close c2 idle_timeout idle=5; close c3 idle_timeout idle=5");
}

TEST(PoolHostLimits, WhatIsNotNamedStaysAsItIs) {
  const Limits limits{.max_idle_conns_per_host = 0,
                      .max_conns_per_host = 4,
                      .max_queue = 5,
                      .max_conn_lifetime = seconds(6),
                      .max_conn_lifetime_jitter = 7,
                      .idle_order = IdleOrder::least_recently_used,
                      .hosts = {{"a:80", {.max_queue = 9}}}};
  const KeyLimits a = limits_for(limits, "a:80");
  EXPECT_EQ(a.max_idle, 2u);
  EXPECT_EQ(a.max_conns, 4u);
  EXPECT_EQ(a.max_queue, 9u);
  EXPECT_EQ(a.idle_timeout, seconds(90));
  EXPECT_EQ(a.lifetime, seconds(6));
  EXPECT_EQ(a.jitter, 1.0);
  EXPECT_EQ(a.idle_order, IdleOrder::least_recently_used);
  EXPECT_EQ(limits_for(limits, "b:80").max_queue, 5u);
}

TEST(PoolExplain, WithoutItHoldersAreNotLookedFor) {
  PoolScript pool({.max_conns_per_host = 1});
  (void)pool.acquire(1);
  Actions out;
  pool.core.acquire(2, {"", "http", "a:80"}, pool.now, out, Explain::no);
  EXPECT_EQ(text(out), "queued r2 max_conns_per_host 1 1/1 []");
  EXPECT_EQ(pool.acquire(3), "queued r3 max_conns_per_host 1 2/2 [r1/c1]") << "each for itself";
  pool.advance(1);
  EXPECT_EQ(pool.cancel(2), "dequeued r2 max_conns_per_host cancelled waited=1 by r0 []");
  EXPECT_EQ(pool.cancel(3), "dequeued r3 max_conns_per_host cancelled waited=1 by r0 [r1/c1=1]");
}

TEST(PoolSnapshot, CountsByReasonAndByKey) {
  PoolScript pool({.max_conns_per_host = 1});
  pool.warm(1, "a:80");
  (void)pool.peer_closed(1);
  (void)pool.acquire(1, "b:80");
  (void)pool.acquire(2, "b:80");
  (void)pool.dial_failed(2);
  const Snapshot now = pool.core.snapshot();
  const auto closed_by = [&](CloseReason reason) { return now.closed_by[static_cast<std::size_t>(reason)]; };
  EXPECT_EQ(closed_by(server_closed_idle), 1u);
  EXPECT_EQ(closed_by(dial_failed), 1u);
  EXPECT_EQ(now.closed, 2u);
  EXPECT_EQ(now.queue_enters, 1u);
  EXPECT_EQ(now.queue_leaves, 1u);
  const std::vector<KeySnapshot> keys = pool.core.keys();
  ASSERT_EQ(keys.size(), 1u) << "a:80 has nothing now";
  EXPECT_EQ(keys[0].key.authority, "b:80");
  EXPECT_EQ(keys[0].dialling, 1u);
  EXPECT_EQ(keys[0].waiting, 0u);
}

}  // namespace
}  // namespace conntrace::pool
