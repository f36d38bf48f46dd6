// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <algorithm>

#include "pool_model.h"

namespace conntrace::pool {

void PoolModel::check_shares(const Dequeued& a, const Req& request) {
  double sum = a.others_share;
  for (const Slot& slot : a.holders) sum += slot.share;
  EXPECT_NEAR(sum, 1, 1e-9);
  EXPECT_TRUE(std::is_sorted(a.holders.begin(), a.holders.end(),
                             [](const Slot& x, const Slot& y) { return x.share > y.share; }));
  const PerKey& key = keys_[name(request.key)];
  Slots expected;
  const double whole =
      static_cast<double>(limits_.max_conns_per_host) * static_cast<double>((now_ - request.queued_at).count());
  const auto add = [&](RequestId r, ConnectionId c, MonoTime from, MonoTime to) {
    const auto overlap = static_cast<double>((to - std::max(from, request.queued_at)).count());
    if (overlap > 0) expected[{r, c}] += overlap / whole;
  };
  for (std::size_t i = request.history_mark; i < key.history.size(); ++i) {
    const Interval& past = key.history[i];
    add(past.request, past.connection, past.from, past.to);
  }
  for (const auto& [id, by] : key.occupied) add(by.first, id, by.second, now_);
  Slots listed;
  for (const Slot& slot : a.holders) {
    EXPECT_NE(slot.request, a.request) << "nobody waits for himself";
    EXPECT_TRUE(listed.insert({{slot.request, slot.connection}, slot.share}).second) << "listed twice";
  }
  if (whole == 0) {
    for (const Slot& slot : a.holders) EXPECT_DOUBLE_EQ(slot.share, a.holders[0].share);
    return;
  }
  // What a very long wait leaves out, it leaves out whole or in part, never too much of anybody.
  for (const auto& [who, share] : listed) EXPECT_LE(share, expected[who] + 1e-9);
  if (a.others_share == 0) {
    EXPECT_EQ(listed.size(), expected.size());
    for (const auto& [who, share] : expected) EXPECT_NEAR(listed[who], share, 1e-9);
  }
}

void PoolModel::check_state(const PoolCore& core) {
  Snapshot expected = core.snapshot();
  expected.idle = expected.active = expected.dialling = expected.waiting = 0;
  std::optional<MonoTime> deadline;
  for (const auto& [id, conn] : connections) {
    ++(conn.state == Conn::idle ? expected.idle : conn.state == Conn::active ? expected.active : expected.dialling);
    if (conn.state != Conn::idle || limits_.idle_conn_timeout.count() <= 0) continue;
    deadline = std::min(deadline.value_or(MonoTime::max()), conn.idle_since + limits_.idle_conn_timeout);
  }
  for (const auto& [id, request] : waiting) expected.waiting += request.queued;
  EXPECT_EQ(core.snapshot(), expected);
  EXPECT_EQ(expected.dials, expected.closed + expected.open());
  EXPECT_EQ(expected.dials, last_);
  EXPECT_EQ(core.next_deadline(), deadline);
  if (limits_.max_idle_conns) {
    EXPECT_LE(expected.idle, limits_.max_idle_conns);
  }
  for (auto& [text, key] : keys_) {
    bool any_queued = false;
    for (const RequestId r : key.order) {
      const Req& request = waiting.at(r);
      any_queued = any_queued || request.queued;
      EXPECT_NE(request.queued, request.dial != 0) << "waits for a slot or for its dial";
      EXPECT_EQ(idle(request.key), 0u) << "waits beside an idle connection";
    }
    if (limits_.max_conns_per_host) {
      EXPECT_LE(key.occupied.size(), limits_.max_conns_per_host);
      if (any_queued) {
        EXPECT_EQ(key.occupied.size(), limits_.max_conns_per_host);
      }
    }
    if (!any_queued) key.history.clear();
  }
  std::map<std::string, std::size_t> idle_of;
  for (const auto& [id, conn] : connections) {
    if (conn.state == Conn::idle) {
      EXPECT_LE(++idle_of[name(conn.key)], idle_cap());
    }
  }
}

std::size_t PoolModel::open(const Key& key) const {
  return std::count_if(connections.begin(), connections.end(), [&](const auto& c) { return c.second.key == key; });
}
std::size_t PoolModel::idle(const Key& key) const {
  return std::count_if(connections.begin(), connections.end(),
                       [&](const auto& c) { return c.second.key == key && c.second.state == Conn::idle; });
}
std::size_t PoolModel::idle() const {
  return std::count_if(connections.begin(), connections.end(),
                       [](const auto& c) { return c.second.state == Conn::idle; });
}
std::size_t PoolModel::idle_cap() const {
  return limits_.max_idle_conns_per_host == 0 ? 2 : std::max(limits_.max_idle_conns_per_host, 0);
}
ConnectionId PoolModel::oldest_idle() const {
  ConnectionId found = 0;
  for (const auto& [id, conn] : connections) {
    if (conn.state == Conn::idle && (!found || conn.idle_order < connections.at(found).idle_order)) found = id;
  }
  return found;
}
ConnectionId PoolModel::newest_idle(const Key& key) const {
  ConnectionId found = 0;
  for (const auto& [id, conn] : connections) {
    if (conn.state != Conn::idle || !(conn.key == key)) continue;
    if (!found || conn.idle_order > connections.at(found).idle_order) found = id;
  }
  return found;
}
RequestId PoolModel::first_waiting(const Key& key, bool queued) const {
  const auto place = keys_.find(name(key));
  if (place == keys_.end()) return 0;
  for (const RequestId r : place->second.order) {
    if (!queued || waiting.at(r).queued) return r;
  }
  return 0;
}
void PoolModel::occupy(ConnectionId connection, RequestId request) {
  PerKey& key = keys_[name(connections.at(connection).key)];
  auto& [by, since] = key.occupied.at(connection);
  key.history.push_back({by, connection, since, now_});
  by = request;
  since = now_;
}
void PoolModel::ended(RequestId request) {
  const Req& req = waiting.at(request);
  if (req.dial && connections.contains(req.dial)) {
    connections.at(req.dial).request = 0;
    occupy(req.dial, 0);
  }
  std::erase(keys_[name(req.key)].order, request);
  waiting.erase(request);
}
void PoolModel::gone(ConnectionId connection) {
  const auto place = connections.find(connection);
  if (place == connections.end()) return;
  occupy(connection, 0);
  keys_[name(place->second.key)].occupied.erase(connection);
  ever_closed_.insert(connection);
  connections.erase(place);
}

}  // namespace conntrace::pool
