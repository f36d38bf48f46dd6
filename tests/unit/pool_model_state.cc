// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <algorithm>

#include "pool/holders.h"

#include "pool_model.h"

namespace conntrace::pool {
namespace {

constexpr std::size_t kNoLimit = ~std::size_t{0};

std::size_t or_none(std::size_t limit) { return limit ? limit : kNoLimit; }

}  // namespace

void PoolModel::check_candidates(const Dial& a, const Req& request) {
  EXPECT_LE(a.candidates.size(), 4u);
  EXPECT_EQ(a.candidates.empty(), a.why == WhyNew::no_idle || a.why == WhyNew::keep_alives_disabled);
  for (const Rejected& r : a.candidates) {
    EXPECT_NE(r.reason, WhyNew::unknown);
    const bool is_open = r.reason == WhyNew::all_busy || r.reason == WhyNew::key_differs;
    EXPECT_EQ(connections.contains(r.connection), is_open);
    EXPECT_EQ(ever_closed_.contains(r.connection), !is_open);
    if (is_open) {
      EXPECT_EQ(connections.at(r.connection).key == request.key, r.reason == WhyNew::all_busy);
      EXPECT_EQ(connections.at(r.connection).state, r.reason == WhyNew::all_busy ? Conn::active : Conn::idle);
    }
  }
}

void PoolModel::check_shares(const Dequeued& a, const Req& request, const Gate& at) {
  if (!request.explain) {
    EXPECT_TRUE(a.holders.empty());
    return;
  }
  double sum = a.others_share;
  for (const Slot& slot : a.holders) sum += slot.share;
  EXPECT_NEAR(sum, 1, 1e-9);
  EXPECT_TRUE(std::is_sorted(a.holders.begin(), a.holders.end(),
                             [](const Slot& x, const Slot& y) { return x.share > y.share; }));
  Shares expected;
  double whole = 0;
  const auto add = [&](const Held& held, MonoTime to) {
    const auto overlap = static_cast<double>((to - std::max(held.from, request.queued_at)).count());
    if (overlap > 0) expected[{held.request, held.connection}] += overlap;
    if (overlap > 0) whole += overlap;
  };
  for (std::size_t i = request.history_mark; i < at.history.size(); ++i) add(at.history[i], at.history[i].to);
  for (const auto& [slot, held] : at.held) add(held, now_);
  Shares listed;
  for (const Slot& slot : a.holders) {
    EXPECT_NE(slot.request, a.request) << "nobody waits for himself";
    EXPECT_TRUE(listed.insert({{slot.request, slot.connection}, slot.share}).second) << "listed twice";
  }
  if (now_ == request.queued_at) return;
  EXPECT_LE(a.holders.size(), kMostHolders);
  if (whole == 0) {
    EXPECT_EQ(a.others_share, 1);
    return;
  }
  if (a.limit != Limit::fd_limit) {  // all slots are held all the time
    const double slots = static_cast<double>(size(a.limit, request.key));
    EXPECT_NEAR(whole / (slots * static_cast<double>((now_ - request.queued_at).count())), 1, 1e-9);
  }
  // What a very long wait leaves out, it leaves out whole or in part, never too much of anybody.
  for (const auto& [who, share] : listed) EXPECT_LE(share, expected[who] / whole + 1e-9);
  if (a.others_share == 0) {
    EXPECT_EQ(listed.size(), expected.size());
    for (const auto& [who, share] : expected) EXPECT_NEAR(listed[who], share / whole, 1e-9);
  }
}

void PoolModel::check_state(const PoolCore& core) {
  const Snapshot said = core.snapshot();
  EXPECT_EQ(said.idle, count(Conn::idle));
  EXPECT_EQ(said.active, count(Conn::active));
  EXPECT_EQ(said.dialling, count(Conn::dialling));
  EXPECT_EQ(said.waiting, enters_ - leaves_);
  EXPECT_EQ(said.queue_enters, enters_);
  EXPECT_EQ(said.queue_leaves, leaves_);
  EXPECT_EQ(said.refused, refusals);
  EXPECT_EQ(said.dials, last_);
  EXPECT_EQ(said.dials, said.closed + said.open());
  std::uint64_t closed = 0;
  for (std::size_t i = 0; i < kCloseReasons; ++i) {
    const auto known = closes.find(static_cast<CloseReason>(i));
    EXPECT_EQ(said.closed_by[i], known != closes.end() ? known->second : 0);
    closed += said.closed_by[i];
  }
  EXPECT_EQ(said.closed, closed);
  std::optional<MonoTime> deadline;
  for (const auto& [id, conn] : connections) {
    if (conn.state != Conn::idle || conn.idle_until == MonoTime::max()) continue;
    deadline = std::min(deadline.value_or(MonoTime::max()), conn.idle_until);
    if (expiring_) {
      EXPECT_GT(conn.idle_until, now_) << "should have been closed";
    }
  }
  const std::optional<MonoTime> next = core.next_deadline();
  if (deadline) {
    ASSERT_TRUE(next);
    EXPECT_LE(*next, *deadline);
  }
  if (expiring_ && next) {
    EXPECT_GT(*next, now_) << "expire() would be called for ever";
  }
  if (limits_.max_idle_conns) {
    EXPECT_LE(said.idle, limits_.max_idle_conns);
  }
  check_limits();
}

void PoolModel::check_limits() {
  for (const auto& [id, request] : waiting) {
    EXPECT_NE(request.queued.has_value(), request.dial != 0) << "waits for a slot or for its dial";
    EXPECT_EQ(idle(request.key), 0u) << "waits beside an idle connection";
    if (!request.queued) continue;
    if (*request.queued != Limit::fd_limit) {
      EXPECT_EQ(held(*request.queued, request.key), size(*request.queued, request.key)) << "waits beside a free slot";
    }
    if (*request.queued == Limit::max_total_conns || *request.queued == Limit::fd_limit) {
      EXPECT_EQ(count(Conn::idle), 0u);
    }
  }
  for (const auto& [id, conn] : connections) {
    for (const Limit limit : {Limit::max_conns_per_host, Limit::max_total_conns, Limit::max_concurrent_dials}) {
      EXPECT_LE(held(limit, conn.key), size(limit, conn.key)) << to_string(limit);
    }
    if (conn.state == Conn::idle) {
      EXPECT_LE(idle(conn.key), limits(conn.key).max_idle);
    }
  }
  for (auto& [name, gate] : gates_) {
    if (gate.order.empty()) gate.history.clear();
  }
}

PoolModel::Gate& PoolModel::gate(Limit limit, const Key& key) {
  return gates_[limit == Limit::max_conns_per_host ? name(key) : std::string(to_string(limit))];
}
std::size_t PoolModel::held(Limit limit, const Key& key, RequestId but) {
  const Gate& at = gate(limit, key);
  return at.held.size() - (but != 0 && at.held.contains({0, but}) ? 1 : 0);
}
std::size_t PoolModel::size(Limit limit, const Key& key) const {
  if (limit == Limit::max_conns_per_host) return or_none(limits(key).max_conns);
  return or_none(limit == Limit::max_total_conns ? limits_.max_total_conns : limits_.max_concurrent_dials);
}
std::size_t PoolModel::queued(const Key& key) const {
  return std::count_if(waiting.begin(), waiting.end(),
                       [&](const auto& w) { return w.second.key == key && w.second.queued; });
}
std::size_t PoolModel::idle(const Key& key) const {
  return std::count_if(connections.begin(), connections.end(),
                       [&](const auto& c) { return c.second.key == key && c.second.state == Conn::idle; });
}
std::size_t PoolModel::count(decltype(Conn::dialling) state) const {
  return std::count_if(connections.begin(), connections.end(), [&](const auto& c) { return c.second.state == state; });
}
ConnectionId PoolModel::oldest_idle() const {
  ConnectionId found = 0;
  for (const auto& [id, conn] : connections) {
    if (conn.state == Conn::idle && (!found || conn.idle_order < connections.at(found).idle_order)) found = id;
  }
  return found;
}
ConnectionId PoolModel::next_idle(const Key& key) const {
  const bool newest = limits(key).idle_order == IdleOrder::most_recently_used;
  ConnectionId found = 0;
  for (const auto& [id, conn] : connections) {
    if (conn.state != Conn::idle || !(conn.key == key)) continue;
    if (!found || (conn.idle_order > connections.at(found).idle_order) == newest) found = id;
  }
  return found;
}
RequestId PoolModel::first_waiting(const Key& key) const {
  const auto place = order_.find(name(key));
  return place == order_.end() || place->second.empty() ? 0 : place->second.front();
}
void PoolModel::hold(Gate& at, ConnectionId connection, RequestId request) {
  const std::pair slot{connection, connection ? 0 : request};
  if (const auto now = at.held.find(slot); now != at.held.end()) {
    if (now->second.request == request) return;
    let_go(at, connection, request);
  }
  at.held[slot] = {request, connection, now_, {}};
}
void PoolModel::let_go(Gate& at, ConnectionId connection, RequestId request) {
  const auto place = at.held.find({connection, connection ? 0 : request});
  if (place == at.held.end()) return;
  place->second.to = now_;
  at.history.push_back(place->second);
  at.held.erase(place);
}

}  // namespace conntrace::pool
