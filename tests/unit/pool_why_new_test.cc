// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include "pool/pool_core.h"
#include "pool/recent_closes.h"
#include "pool_script.h"

namespace conntrace::pool {
namespace {

using enum CloseReason;

TEST(PoolWhyNew, NothingIsOpenWhileTheFirstDialRuns) {
  PoolScript pool;
  EXPECT_EQ(pool.acquire(1), "dial c1 r1 no_idle");
  EXPECT_EQ(pool.acquire(2), "dial c2 r2 no_idle");
}

TEST(PoolWhyNew, AtMostFourCandidates) {
  PoolScript pool({.max_idle_conns_per_host = 10});
  for (RequestId r = 1; r <= 6; ++r) (void)pool.acquire(r);
  for (ConnectionId c = 1; c <= 6; ++c) (void)pool.dialled(c);
  EXPECT_EQ(pool.acquire(7), "dial c7 r7 all_busy c1:all_busy c2:all_busy c3:all_busy c4:all_busy");
  for (ConnectionId c = 1; c <= 6; ++c) (void)pool.release(c);
  (void)pool.cancel(7);
  (void)pool.dial_failed(7);
  (void)pool.close_idle_connections();
  EXPECT_EQ(pool.acquire(8), "dial c8 r8 idle_evicted c6:idle_evicted c5:idle_evicted c4:idle_evicted c3:idle_evicted");
}

TEST(PoolWhyNew, OnlyWhatWasLostSinceTheLastDial) {
  PoolScript pool;
  pool.warm(1);
  (void)pool.peer_closed(1);
  EXPECT_EQ(pool.acquire(1), "dial c2 r1 idle_dead c1:idle_dead");
  EXPECT_EQ(pool.acquire(2), "dial c3 r2 no_idle");
}

TEST(PoolWhyNew, WhatALimitRefusedIsMissedLater) {
  PoolScript pool({.max_idle_conns_per_host = 1});
  pool.warm(2);
  (void)pool.acquire(1);
  EXPECT_EQ(pool.acquire(2), "dial c3 r2 idle_evicted c2:idle_evicted c1:all_busy");
}

TEST(PoolWhyNew, TheNewestLossIsTheReason) {
  PoolScript pool({.idle_conn_timeout = std::chrono::seconds(10)});
  pool.warm(2);
  (void)pool.peer_closed(1, server_reset_idle);
  pool.advance(10);
  (void)pool.expire();
  EXPECT_EQ(pool.acquire(1), "dial c3 r1 idle_expired c2:idle_expired c1:idle_dead");
}

TEST(PoolWhyNew, AnEndedDialWasNoConnection) {
  PoolScript pool;
  (void)pool.acquire(1);
  (void)pool.cancel(1);
  EXPECT_EQ(pool.close_idle_connections(), "close c1 close_idle_connections");
  EXPECT_EQ(pool.acquire(2), "dial c2 r2 no_idle");
}

TEST(PoolWhyNew, AnotherKeyIsNamedOnlyWhileItIsIdle) {
  PoolScript pool;
  pool.warm(1);
  const Key tls{"", "https", "a:80"};
  EXPECT_EQ(pool.acquire(1, tls), "dial c2 r1 key_differs c1:key_differs");
  (void)pool.acquire(2);
  EXPECT_EQ(pool.acquire(3, tls), "dial c3 r3 no_idle");
  (void)pool.release(1);
  (void)pool.dialled(2);
  EXPECT_EQ(pool.acquire(4, tls), "dial c4 r4 all_busy c2:all_busy") << "the same key explains enough";
}

TEST(PoolWhyNew, TargetsBehindAnHttpProxyHaveNoAuthority) {
  PoolScript pool;
  (void)pool.acquire(1, Key{"http://p:1", "http", ""});
  (void)pool.dialled(1);
  (void)pool.release(1);
  EXPECT_EQ(pool.acquire(2, Key{"http://q:1", "http", ""}), "dial c2 r2 no_idle");
}

TEST(PoolWhyNew, EveryCloseReasonThatLosesAUsableConnectionExplains) {
  const auto release = [](CloseReason reason) {
    PoolScript pool;
    (void)pool.acquire(1);
    (void)pool.dialled(1);
    (void)pool.release(1, reason);
    return pool.acquire(2);
  };
  EXPECT_EQ(release(max_requests), "dial c2 r2 max_requests c1:max_requests");
  EXPECT_EQ(release(max_lifetime), "dial c2 r2 max_lifetime c1:max_lifetime");
  EXPECT_EQ(release(fd_pressure), "dial c2 r2 fd_pressure c1:fd_pressure");
  EXPECT_EQ(release(server_closed_idle), "dial c2 r2 idle_dead c1:idle_dead");
  EXPECT_EQ(release(body_abandoned), "dial c2 r2 no_idle");
  EXPECT_EQ(release(read_error), "dial c2 r2 no_idle");
}

}  // namespace
}  // namespace conntrace::pool
