// SPDX-License-Identifier: Apache-2.0
#include "pool_model.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "pool/holders.h"

namespace conntrace::pool {

void PoolModel::acquired(RequestId request, const Key& key, Explain explain) {
  close_returning_ = false;
  waiting[request] = {.key = key, .explain = explain == Explain::yes};
  order_[name(key)].push_back(request);
}

void PoolModel::released(ConnectionId connection, std::optional<CloseReason> unusable, const KeepAlive& said) {
  given_ = connection;
  Conn& conn = connections.at(connection);
  giver_ = conn.request;
  given_reason_ = unusable;
  if (unusable) return;
  if (said.timeout != MonoTime::max()) conn.server_keeps = said.timeout;
  if (said.max != KeepAlive::kNotSaid) {
    conn.serves_at_most = std::min(limits(conn.key).max_requests, conn.served + said.max);
  }
}

void PoolModel::dialled(ConnectionId connection) { given_ = connection; }

void PoolModel::dial_failed(ConnectionId connection) {
  given_ = connection;
  given_reason_ = CloseReason::dial_failed;
}

void PoolModel::no_descriptor(ConnectionId connection) {
  lacked_ = connection;
  lacking_ = connections.at(connection).request;
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
  if (given_ && connections.at(given_).state == Conn::dialling && !given_reason_) {
    Conn& conn = connections.at(given_);
    const MonoTime lifetime = lifetime_of(given_, limits(conn.key));
    conn.lives_until = lifetime == MonoTime::max() ? lifetime : now_ + lifetime;
    giver_ = conn.request;
    dial_over(given_);
  }
  if (given_reason_ == CloseReason::dial_failed && connections.at(given_).request == 0) {
    gone(std::exchange(given_, 0), CloseReason::dial_failed);
  }
  if (lacked_) {
    if (lacking_) {
      Req& request = waiting.at(lacking_);
      EXPECT_EQ(std::exchange(request.dial, 0), lacked_);
      // It keeps its slots.
      hold(gate(Limit::max_conns_per_host, request.key), 0, lacking_);
      hold(gate(Limit::max_total_conns, request.key), 0, lacking_);
    }
    gone(lacked_, CloseReason::dial_failed);
  }
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
  check_state(core);
  giver_ = cancelled_ = lacked_ = lacking_ = 0;
  evicted_ = 0;
  given_reason_.reset();
  closing_idle_ = expiring_ = false;
}

void PoolModel::on(const Dial& a) {
  EXPECT_EQ(a.connection, ++last_) << "numbers count";
  ASSERT_TRUE(waiting.contains(a.request));
  Req& request = waiting.at(a.request);
  EXPECT_FALSE(request.queued);
  EXPECT_EQ(request.dial, 0u) << "one dial a request";
  EXPECT_EQ(idle(request.key), 0u) << "an idle connection would do";
  for (const Limit limit : {Limit::max_conns_per_host, Limit::max_total_conns, Limit::max_concurrent_dials}) {
    EXPECT_LT(held(limit, request.key, a.request), size(limit, request.key)) << to_string(limit);
  }
  EXPECT_EQ(a.why == WhyNew::keep_alives_disabled, !limits(request.key).keeps);
  EXPECT_NE(a.why, WhyNew::unknown);
  if (request.first_dial) {
    EXPECT_EQ(a.why, request.first_dial->why);
    EXPECT_EQ(a.candidates.size(), request.first_dial->candidates.size());
  } else {
    check_candidates(a, request);
    request.first_dial = a;
  }
  let_reserved_go(a.request);
  connections[a.connection] = {
      .key = request.key, .request = a.request, .serves_at_most = limits(request.key).max_requests};
  request.dial = a.connection;
  request.admitted = true;
  for (const Limit limit :
       {Limit::max_conns_per_host, Limit::max_total_conns, Limit::max_concurrent_dials, Limit::fd_limit}) {
    hold(gate(limit, request.key), a.connection, a.request);
  }
}

void PoolModel::on(const Deliver& a) {
  ASSERT_TRUE(waiting.contains(a.request)) << "delivered twice, or to a request that was cancelled";
  ASSERT_TRUE(connections.contains(a.connection));
  const Req& request = waiting.at(a.request);
  Conn& conn = connections.at(a.connection);
  EXPECT_FALSE(request.queued) << "Dequeued comes first";
  EXPECT_TRUE(conn.key == request.key);
  EXPECT_EQ(a.reused, conn.served > 0);
  EXPECT_LT(conn.served, conn.serves_at_most);
  EXPECT_EQ(a.was_idle, conn.state == Conn::idle);
  if (a.was_idle) {
    EXPECT_EQ(a.connection, next_idle(request.key));
    EXPECT_EQ(a.idle, now_ - conn.idle_since);
    EXPECT_LE(now_, conn.idle_until);
  } else if (handed_) {
    EXPECT_EQ(a.connection, std::exchange(handed_, 0));
    EXPECT_EQ(a.request, std::exchange(handed_to_, 0));
  } else {
    EXPECT_EQ(a.connection, std::exchange(given_, 0)) << "its own dial, which just ended";
    EXPECT_EQ(conn.state, Conn::dialling);
    EXPECT_EQ(conn.request, a.request);
  }
  conn.state = Conn::active;
  ++conn.served;
  ++deliveries;
  if (request.dial == a.connection) waiting.at(a.request).dial = 0;
  occupy(a.connection, a.request);
  ended(a.request);
  conn.request = a.request;
}

void PoolModel::on(const Queued& a) {
  ASSERT_TRUE(waiting.contains(a.request));
  Req& request = waiting.at(a.request);
  Gate& at = gate(a.limit, request.key);
  EXPECT_FALSE(request.queued);
  EXPECT_EQ(request.dial, 0u);
  const std::size_t max_queue = limits(request.key).max_queue;
  if (!request.admitted && max_queue) {
    EXPECT_LT(queued(request.key), max_queue);
  }
  request.admitted = true;
  bool lacks = false;
  if (a.limit == Limit::fd_limit) {
    lacks = lacking_ == a.request;
    EXPECT_TRUE(lacks || !at.order.empty());
  } else {
    EXPECT_EQ(a.limit_value, size(a.limit, request.key));
    EXPECT_TRUE(!at.order.empty() || held(a.limit, request.key, a.request) == a.limit_value);
  }
  for (const Limit earlier : {Limit::max_conns_per_host, Limit::max_total_conns}) {
    if (earlier == a.limit) break;
    EXPECT_LT(held(earlier, request.key, a.request), size(earlier, request.key)) << "another limit binds";
    Gate& before = gate(earlier, request.key);
    if (!before.held.contains({0, a.request})) hold(before, 0, a.request);
  }
  request.queued = a.limit;
  request.queued_at = now_;
  request.history_mark = at.history.size();
  at.order.push_back(a.request);
  ++enters_;
  EXPECT_EQ(a.depth, at.order.size());
  EXPECT_EQ(a.position, at.order.size());
  std::set<std::pair<RequestId, ConnectionId>> expected, listed;
  if (request.explain) {
    for (const auto& [slot, holder] : at.held) expected.insert({holder.request, holder.connection});
  }
  for (const Slot& slot : a.holders) listed.insert({slot.request, slot.connection});
  EXPECT_EQ(listed.size(), std::min(expected.size(), kMostHolders));
  EXPECT_TRUE(std::includes(expected.begin(), expected.end(), listed.begin(), listed.end()));
}

void PoolModel::on(const Dequeued& a) {
  ASSERT_TRUE(waiting.contains(a.request));
  Req& request = waiting.at(a.request);
  ASSERT_EQ(request.queued, a.limit);
  Gate& at = gate(a.limit, request.key);
  EXPECT_EQ(a.waited, now_ - request.queued_at);
  if (a.request == cancelled_) {
    EXPECT_EQ(a.outcome, cancel_outcome_);
    EXPECT_EQ(a.released_by, 0u);
    ++cancels;
  } else if (a.outcome == QueueOutcome::slot_freed) {
    EXPECT_EQ(a.request, at.order.front());
    EXPECT_EQ(a.released_by, giver_);
  } else {
    EXPECT_EQ(a.request, handed_to_);
    EXPECT_EQ(a.outcome == QueueOutcome::handoff, giver_ != 0);
    EXPECT_EQ(a.outcome == QueueOutcome::dial_donated, giver_ == 0);
    EXPECT_EQ(a.released_by, giver_);
  }
  check_shares(a, request, at);
  std::erase(at.order, a.request);
  request.queued.reset();
  ++leaves_;
  ++dequeues[a.limit];
  if (a.request == cancelled_) ended(a.request);
}

void PoolModel::on(const Refused& a) {
  ASSERT_TRUE(waiting.contains(a.request));
  const Req& request = waiting.at(a.request);
  EXPECT_FALSE(request.admitted);
  EXPECT_EQ(a.limit_value, limits(request.key).max_queue);
  EXPECT_GE(queued(request.key), a.limit_value) << "more, if some came back for want of a descriptor";
  ++refusals;
  ended(a.request);
}

void PoolModel::on(const AcquireFailed& a) {
  ASSERT_TRUE(waiting.contains(a.request));
  EXPECT_EQ(waiting.at(a.request).dial, a.connection);
  EXPECT_EQ(given_reason_, CloseReason::dial_failed);
  EXPECT_EQ(a.connection, std::exchange(given_, 0));
  ++failures;
  gone(a.connection, CloseReason::dial_failed);
  ended(a.request);
}

}  // namespace conntrace::pool
