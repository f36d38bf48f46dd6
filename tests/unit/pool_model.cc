// SPDX-License-Identifier: Apache-2.0
#include "pool_model.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace conntrace::pool {

void PoolModel::acquired(RequestId request, const Key& key) {
  close_returning_ = false;
  waiting[request] = {.key = key};
  keys_[name(key)].order.push_back(request);
}

void PoolModel::released(ConnectionId connection, std::optional<CloseReason> unusable) {
  given_ = connection;
  giver_ = connections.at(connection).request;
  given_reason_ = unusable;
}

void PoolModel::dialled(ConnectionId connection) { given_ = connection; }

void PoolModel::dial_failed(ConnectionId connection) {
  given_ = connection;
  given_reason_ = CloseReason::dial_failed;
}

void PoolModel::peer_closed(ConnectionId connection, CloseReason reason) {
  const auto place = connections.find(connection);
  if (place == connections.end() || place->second.state != Conn::idle) return;
  must_close_ = connection;
  given_reason_ = reason;
}

void PoolModel::cancelled(RequestId request, QueueOutcome outcome) {
  cancelled_ = request;
  cancel_outcome_ = outcome;
}

void PoolModel::closed_idle() {
  close_returning_ = true;
  closing_idle_ = true;
}

void PoolModel::follow(const Actions& actions, const PoolCore& core, MonoTime now) {
  now_ = now;
  if (given_reason_ == CloseReason::dial_failed && connections.at(given_).request == 0) gone(std::exchange(given_, 0));
  for (const Action& action : actions) {
    std::visit([&](const auto& a) { on(a); }, action);
    if (::testing::Test::HasFailure()) return;
  }
  if (cancelled_) {
    if (waiting.contains(cancelled_)) {
      EXPECT_FALSE(waiting.at(cancelled_).queued) << "cancelled in the queue, but not dequeued";
      ++cancels;
      ended(cancelled_);
    }
  }
  EXPECT_EQ(given_, 0u) << "neither delivered, kept nor closed";
  EXPECT_EQ(handed_, 0u) << "handed over, but not delivered";
  EXPECT_EQ(must_close_, 0u) << "not closed";
  giver_ = cancelled_ = 0;
  given_reason_.reset();
  closing_idle_ = false;
  check_state(core);
}

void PoolModel::on(const Dial& a) {
  EXPECT_EQ(a.connection, ++last_) << "numbers count";
  ASSERT_TRUE(waiting.contains(a.request));
  Req& request = waiting.at(a.request);
  EXPECT_FALSE(request.queued);
  EXPECT_EQ(request.dial, 0u) << "one dial a request";
  EXPECT_EQ(idle(request.key), 0u) << "an idle connection would do";
  if (limits_.max_conns_per_host) {
    EXPECT_LT(open(request.key), limits_.max_conns_per_host);
  }
  EXPECT_EQ(a.why == WhyNew::keep_alives_disabled, !keeps());
  EXPECT_LE(a.candidates.size(), 4u);
  EXPECT_EQ(a.candidates.empty(), a.why == WhyNew::no_idle || a.why == WhyNew::keep_alives_disabled);
  for (const Rejected& r : a.candidates) {
    const bool is_open = r.reason == WhyNew::all_busy || r.reason == WhyNew::key_differs;
    EXPECT_EQ(connections.contains(r.connection), is_open);
    EXPECT_EQ(ever_closed_.contains(r.connection), !is_open);
    if (is_open) {
      EXPECT_EQ(connections.at(r.connection).key == request.key, r.reason == WhyNew::all_busy);
      EXPECT_EQ(connections.at(r.connection).state, r.reason == WhyNew::all_busy ? Conn::active : Conn::idle);
    }
  }
  connections[a.connection] = {.key = request.key, .request = a.request};
  request.dial = a.connection;
  keys_[name(request.key)].occupied[a.connection] = {a.request, now_};
}

void PoolModel::on(const Deliver& a) {
  ASSERT_TRUE(waiting.contains(a.request)) << "delivered twice, or to a request that was cancelled";
  ASSERT_TRUE(connections.contains(a.connection));
  const Req& request = waiting.at(a.request);
  Conn& conn = connections.at(a.connection);
  EXPECT_FALSE(request.queued) << "Dequeued comes first";
  EXPECT_TRUE(conn.key == request.key);
  EXPECT_EQ(a.reused, conn.carried);
  EXPECT_EQ(a.was_idle, conn.state == Conn::idle);
  if (a.was_idle) {
    EXPECT_EQ(a.connection, newest_idle(request.key));
    EXPECT_EQ(a.idle, now_ - conn.idle_since);
    if (limits_.idle_conn_timeout.count() > 0) {
      EXPECT_LE(a.idle, limits_.idle_conn_timeout);
    }
  } else if (handed_) {
    EXPECT_EQ(a.connection, std::exchange(handed_, 0));
    EXPECT_EQ(a.request, std::exchange(handed_to_, 0));
  } else {
    EXPECT_EQ(a.connection, std::exchange(given_, 0)) << "its own dial, which just ended";
    EXPECT_EQ(conn.state, Conn::dialling);
    EXPECT_EQ(conn.request, a.request);
  }
  conn.state = Conn::active;
  conn.carried = true;
  ++deliveries;
  if (request.dial == a.connection) waiting.at(a.request).dial = 0;
  occupy(a.connection, a.request);
  ended(a.request);
  conn.request = a.request;
}

void PoolModel::on(const Queued& a) {
  ASSERT_TRUE(waiting.contains(a.request));
  Req& request = waiting.at(a.request);
  PerKey& key = keys_[name(request.key)];
  EXPECT_EQ(open(request.key), limits_.max_conns_per_host);
  EXPECT_EQ(a.limit_value, limits_.max_conns_per_host);
  request.queued = true;
  request.queued_at = now_;
  request.history_mark = key.history.size();
  const auto depth =
      std::count_if(key.order.begin(), key.order.end(), [&](RequestId r) { return waiting.at(r).queued; });
  EXPECT_EQ(a.depth, depth);
  EXPECT_EQ(a.position, depth);
  ASSERT_EQ(a.holders.size(), key.occupied.size());
  for (const Slot& slot : a.holders) EXPECT_EQ(key.occupied.at(slot.connection).first, slot.request);
}

void PoolModel::on(const Dequeued& a) {
  ASSERT_TRUE(waiting.contains(a.request));
  Req& request = waiting.at(a.request);
  ASSERT_TRUE(request.queued);
  EXPECT_EQ(a.waited, now_ - request.queued_at);
  if (cancelled_) {
    EXPECT_EQ(a.request, cancelled_);
    EXPECT_EQ(a.outcome, cancel_outcome_);
  } else {
    EXPECT_EQ(a.request, first_waiting(request.key, true)) << "first in, first out";
    EXPECT_EQ(a.outcome == QueueOutcome::slot_freed, handed_ == 0);
    if (handed_) {
      EXPECT_EQ(a.outcome, giver_ ? QueueOutcome::handoff : QueueOutcome::dial_donated);
    }
  }
  EXPECT_EQ(a.released_by, giver_);
  check_shares(a, request);
  request.queued = false;
  ++dequeues;
}

void PoolModel::on(const PutIdle& a) {
  ASSERT_TRUE(connections.contains(a.connection));
  Conn& conn = connections.at(a.connection);
  EXPECT_TRUE(keeps());
  EXPECT_EQ(a.connection, std::exchange(given_, 0));
  EXPECT_EQ(a.request, giver_);
  const RequestId first = first_waiting(conn.key, false);
  EXPECT_EQ(a.handed_to, first);
  if (first) {
    handed_ = a.connection;
    handed_to_ = first;
    return;
  }
  const bool full = idle(conn.key) >= idle_cap();
  EXPECT_EQ(a.refused.has_value(), close_returning_ || full);
  if (a.refused) {
    EXPECT_EQ(*a.refused,
              close_returning_ ? CloseReason::close_idle_connections : CloseReason::max_idle_conns_per_host);
    must_close_ = a.connection;
    given_reason_ = a.refused;
    return;
  }
  conn.state = Conn::idle;
  conn.request = 0;
  conn.idle_since = now_;
  conn.idle_order = ++idle_order_;
  occupy(a.connection, 0);
  if (limits_.max_idle_conns && idle() > limits_.max_idle_conns) {
    must_close_ = oldest_idle();
    given_reason_ = CloseReason::max_idle_conns;
  }
}

void PoolModel::on(const Close& a) {
  ASSERT_TRUE(connections.contains(a.connection)) << "closed twice";
  const Conn& conn = connections.at(a.connection);
  EXPECT_EQ(a.idle.has_value(), conn.state == Conn::idle);
  if (a.idle) {
    EXPECT_EQ(*a.idle, now_ - conn.idle_since);
  }
  if (a.connection == must_close_) {
    EXPECT_EQ(a.reason, given_reason_);
    must_close_ = 0;
  } else if (a.connection == given_) {
    EXPECT_EQ(a.reason, given_reason_.value_or(CloseReason::keep_alives_disabled));
    EXPECT_TRUE(given_reason_ || !keeps());
    given_ = 0;
  } else if (closing_idle_) {
    EXPECT_EQ(a.reason, CloseReason::close_idle_connections);
    EXPECT_TRUE(conn.state == Conn::idle || (conn.state == Conn::dialling && conn.request == 0));
  } else {
    EXPECT_EQ(a.reason, CloseReason::idle_timeout);
    EXPECT_TRUE(limits_.idle_conn_timeout.count() > 0 && a.idle && *a.idle >= limits_.idle_conn_timeout);
  }
  gone(a.connection);
}

void PoolModel::on(const AcquireFailed& a) {
  ASSERT_TRUE(waiting.contains(a.request));
  EXPECT_EQ(waiting.at(a.request).dial, a.connection);
  EXPECT_EQ(given_reason_, CloseReason::dial_failed);
  EXPECT_EQ(a.connection, std::exchange(given_, 0));
  ++failures;
  gone(a.connection);
  ended(a.request);
}

}  // namespace conntrace::pool
