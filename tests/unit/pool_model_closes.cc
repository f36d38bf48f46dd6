// SPDX-License-Identifier: Apache-2.0
// What may be kept and what must be closed.
#include <gtest/gtest.h>

#include <algorithm>

#include "pool_model.h"

namespace conntrace::pool {

std::optional<CloseReason> PoolModel::expected_refusal(const Conn& conn) {
  if (conn.served >= conn.serves_at_most) return CloseReason::max_requests;
  if (now_ >= conn.lives_until) return CloseReason::max_lifetime;
  if (conn.server_keeps.count() == 0) return CloseReason::keep_alive_timeout;
  if (first_waiting(conn.key)) return std::nullopt;
  if (close_returning_) return CloseReason::close_idle_connections;
  if (idle(conn.key) >= limits(conn.key).max_idle) return CloseReason::max_idle_conns_per_host;
  if (!gate(Limit::max_total_conns, conn.key).order.empty()) return CloseReason::max_total_conns;
  if (!gate(Limit::fd_limit, conn.key).order.empty()) return CloseReason::fd_pressure;
  return std::nullopt;
}

void PoolModel::on(const PutIdle& a) {
  EXPECT_EQ(a.connection, std::exchange(given_, 0));
  EXPECT_EQ(a.request, giver_);
  const Conn& conn = connections.at(a.connection);
  EXPECT_TRUE(limits(conn.key).keeps);
  const std::optional<CloseReason> refused = expected_refusal(conn);
  EXPECT_EQ(a.refused, refused);
  if (refused) {
    EXPECT_EQ(a.handed_to, 0u);
    must_close_ = a.connection;
    given_reason_ = refused;
    return;
  }
  const RequestId first = first_waiting(conn.key);
  EXPECT_EQ(a.handed_to, first);
  if (first) {
    handed_ = a.connection;
    handed_to_ = first;
  } else {
    keep(a.connection);
  }
}

void PoolModel::keep(ConnectionId connection) {
  Conn& conn = connections.at(connection);
  conn.state = Conn::idle;
  conn.request = 0;
  conn.idle_since = now_;
  conn.idle_order = ++idle_order_;
  const auto later = [&](MonoTime time) { return time > MonoTime::max() - now_ ? MonoTime::max() : now_ + time; };
  conn.idle_until =
      std::min({later(limits(conn.key).idle_timeout), later(safe_idle_time(conn.server_keeps)), conn.lives_until});
  occupy(connection, 0);
  if (limits_.max_idle_conns && count(Conn::idle) > limits_.max_idle_conns) {
    must_close_ = oldest_idle();
    given_reason_ = CloseReason::max_idle_conns;
  }
}

CloseReason PoolModel::expiry(const Conn& conn) const {
  if (conn.idle_until - conn.idle_since == limits(conn.key).idle_timeout) return CloseReason::idle_timeout;
  return conn.idle_until == conn.lives_until ? CloseReason::max_lifetime : CloseReason::keep_alive_timeout;
}

void PoolModel::on(const Close& a) {
  ASSERT_TRUE(connections.contains(a.connection)) << "closed twice";
  const Conn& conn = connections.at(a.connection);
  EXPECT_EQ(a.idle.has_value(), conn.state == Conn::idle);
  if (a.idle) {
    EXPECT_EQ(*a.idle, now_ - conn.idle_since);
  }
  EXPECT_NE(a.reason, CloseReason::unknown);
  if (a.connection == must_close_) {
    EXPECT_EQ(a.reason, given_reason_);
    must_close_ = 0;
  } else if (a.connection == given_) {
    EXPECT_EQ(a.reason, given_reason_.value_or(CloseReason::keep_alives_disabled));
    EXPECT_TRUE(given_reason_ || !limits(conn.key).keeps);
    given_ = 0;
  } else if (closing_idle_) {
    EXPECT_EQ(a.reason, CloseReason::close_idle_connections);
    EXPECT_TRUE(conn.state == Conn::idle || (conn.state == Conn::dialling && conn.request == 0));
  } else if (a.reason == CloseReason::max_total_conns) {
    EXPECT_EQ(a.connection, oldest_idle());
    EXPECT_EQ(held(Limit::max_total_conns, conn.key), limits_.max_total_conns + (lacking_ != 0 ? 1 : 0));
    EXPECT_TRUE(gate(Limit::max_total_conns, conn.key).order.empty());
  } else if (a.reason == CloseReason::fd_pressure) {
    EXPECT_NE(lacked_, 0u);
    EXPECT_EQ(a.connection, oldest_idle());
    EXPECT_LE(++evicted_, PoolCore::kMostEvictedForDescriptors);
  } else {
    EXPECT_EQ(a.reason, expiry(conn));
    EXPECT_GE(now_, conn.idle_until);
  }
  gone(a.connection, a.reason);
}

void PoolModel::occupy(ConnectionId connection, RequestId request) {
  const Conn& conn = connections.at(connection);
  for (const Limit limit : {Limit::max_conns_per_host, Limit::max_total_conns, Limit::fd_limit}) {
    hold(gate(limit, conn.key), connection, request);
  }
  Gate& dials = gate(Limit::max_concurrent_dials, conn.key);
  if (dials.held.contains({connection, 0})) hold(dials, connection, request);
}

void PoolModel::dial_over(ConnectionId connection) {
  let_go(gate(Limit::max_concurrent_dials, connections.at(connection).key), connection, 0);
}

void PoolModel::gone(ConnectionId connection, CloseReason reason) {
  const auto place = connections.find(connection);
  if (place == connections.end()) return;
  dial_over(connection);
  for (const Limit limit : {Limit::max_conns_per_host, Limit::max_total_conns, Limit::fd_limit}) {
    let_go(gate(limit, place->second.key), connection, 0);
  }
  ever_closed_.insert(connection);
  ++closes[reason];
  connections.erase(place);
}

void PoolModel::let_reserved_go(RequestId request) {
  const Key& key = waiting.at(request).key;
  let_go(gate(Limit::max_conns_per_host, key), 0, request);
  let_go(gate(Limit::max_total_conns, key), 0, request);
}

void PoolModel::ended(RequestId request) {
  const Req& req = waiting.at(request);
  if (req.dial && connections.contains(req.dial)) {
    connections.at(req.dial).request = 0;
    occupy(req.dial, 0);
  }
  let_reserved_go(request);
  std::erase(order_[name(req.key)], request);
  waiting.erase(request);
}

}  // namespace conntrace::pool
