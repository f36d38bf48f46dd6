// SPDX-License-Identifier: Apache-2.0
#include <utility>

#include "pool/holders.h"
#include "pool/pool_impl.h"
#include "pool/why_new.h"

namespace conntrace::pool {

// The most recently used one, unless even that is too old: the timer closes it at the timeout, but the clock may have
// gone on while nobody ran (a suspended machine).
Connection* PoolCore::Impl::usable_idle(const Key& key, Actions& out) {
  Host& host = hosts_.get(key);
  if (host.idle.empty()) return nullptr;
  if (limits_.idle_conn_timeout.count() <= 0 || idle_for(host.idle.back()) <= limits_.idle_conn_timeout) {
    return &host.idle.back();
  }
  // `host` may go away with its last connection, so it is not asked after that.
  for (std::size_t left = host.idle.size(); left > 0; --left) {
    close(host.idle.back(), CloseReason::idle_timeout, 0, out);
  }
  return nullptr;
}

void PoolCore::Impl::begin_dial(Waiter& waiter, Actions& out) {
  Host& host = *waiter.host;
  Explanation explanation{.why = WhyNew::keep_alives_disabled};
  if (keeps_) explanation = explain_dial(host, hosts_);
  host.recent.clear();
  const ConnectionId id = ++last_connection_;
  Connection& connection = connections_[id];
  connection.id = id;
  connection.host = &host;
  connection.occupant = waiter.request;
  connection.occupied_since = now_;
  connection.waiter = &waiter;
  waiter.dial = &connection;
  link(connection, State::dialling);
  ++counts_.dials;
  out.push_back(Dial{id, waiter.request, explanation.why, std::move(explanation.candidates)});
}

void PoolCore::Impl::enqueue(Waiter& waiter, Actions& out) {
  Host& host = *waiter.host;
  waiter.queued_at = now_;
  waiter.queued_mark = host.log.mark();
  host.queue.push_back(waiter);
  ++counts_.waiting;
  const auto depth = static_cast<std::uint32_t>(host.queue.size());
  out.push_back(
      Queued{waiter.request, Limit::max_conns_per_host, limits_.max_conns_per_host, depth, depth, holders_now(host)});
}

void PoolCore::Impl::dequeue(Waiter& waiter, QueueOutcome outcome, RequestId released_by, Actions& out) {
  Host& host = *waiter.host;
  Holders holders = holders_during(waiter, limits_.max_conns_per_host, now_);
  out.push_back(Dequeued{waiter.request, Limit::max_conns_per_host, outcome, now_ - waiter.queued_at, released_by,
                         std::move(holders.slots), holders.others_share});
  host.queue.erase(waiter);
  --counts_.waiting;
  if (host.queue.empty()) {
    host.log.clear();
  } else {
    host.log.forget_before(host.queue.front().queued_mark);
  }
}

void PoolCore::Impl::deliver(Connection& connection, RequestId request, Actions& out) {
  const bool was_idle = connection.state == State::idle;
  const bool reused = connection.served > 0;
  out.push_back(Deliver{request, connection.id, reused, was_idle, was_idle ? idle_for(connection) : MonoTime::zero()});
  ++connection.served;
  if (reused) ++counts_.reused;
  unlink(connection);
  link(connection, State::active);
  occupy(connection, request);
}

// Go's tryPutIdleConn, in its order.
void PoolCore::Impl::put(Connection& connection, RequestId giver, Actions& out) {
  Host& host = *connection.host;
  if (!keeps_) return close(connection, CloseReason::keep_alives_disabled, giver, out);
  if (!host.idle_wait.empty()) return hand_over(connection, giver, out);
  std::optional<CloseReason> refused;
  if (close_returning_) {
    refused = CloseReason::close_idle_connections;
  } else if (host.idle.size() >= max_idle_per_host_) {
    refused = CloseReason::max_idle_conns_per_host;
  }
  out.push_back(PutIdle{connection.id, giver, refused, 0});
  if (refused) return close(connection, *refused, giver, out);
  keep(connection, out);
}

void PoolCore::Impl::hand_over(Connection& connection, RequestId giver, Actions& out) {
  Waiter& waiter = connection.host->idle_wait.front();
  out.push_back(PutIdle{connection.id, giver, std::nullopt, waiter.request});
  if (waiter.in_queue.linked) {
    const bool donated = connection.state == State::dialling;
    dequeue(waiter, donated ? QueueOutcome::dial_donated : QueueOutcome::handoff, giver, out);
  }
  deliver(connection, waiter.request, out);
  forget(waiter);
}

void PoolCore::Impl::keep(Connection& connection, Actions& out) {
  unlink(connection);
  link(connection, State::idle);
  occupy(connection, 0);
  connection.idle_since = now_;
  if (limits_.max_idle_conns != 0 && lru_.size() > limits_.max_idle_conns) {
    close(lru_.front(), CloseReason::max_idle_conns, 0, out);
  }
}

void PoolCore::Impl::close(Connection& connection, CloseReason reason, RequestId released_by, Actions& out) {
  std::optional<MonoTime> idle;
  if (connection.state == State::idle) idle = idle_for(connection);
  out.push_back(Close{connection.id, reason, idle});
  connection.host->recent.remember(connection.id, reason);
  lose(connection, released_by, out);
}

// Go's decConnsPerHost: the slot goes to the first who waits for one.
void PoolCore::Impl::lose(Connection& connection, RequestId released_by, Actions& out) {
  Host& host = *connection.host;
  Waiter* next = host.queue.empty() ? nullptr : &host.queue.front();
  if (next) dequeue(*next, QueueOutcome::slot_freed, released_by, out);
  log_occupancy(connection);
  unlink(connection);
  ++counts_.closed;
  connections_.erase(connection.id);
  if (next) begin_dial(*next, out);
  hosts_.drop_if_unused(host);
}

// The request waits no more; a dial of its own goes on for nobody.
void PoolCore::Impl::forget(Waiter& waiter) {
  if (waiter.in_idle_wait.linked) waiter.host->idle_wait.erase(waiter);
  if (waiter.dial && waiter.dial->waiter == &waiter) {
    waiter.dial->waiter = nullptr;
    occupy(*waiter.dial, 0);
  }
  waiters_.erase(waiter.request);
}

Connection* PoolCore::Impl::find(ConnectionId id) {
  const auto place = connections_.find(id);
  return place == connections_.end() ? nullptr : &place->second;
}

std::uint64_t& PoolCore::Impl::count_of(State state) {
  return state == State::idle ? counts_.idle : state == State::active ? counts_.active : counts_.dialling;
}

void PoolCore::Impl::link(Connection& connection, State state) {
  connection.state = state;
  connection.host->list(state).push_back(connection);
  if (state == State::idle) lru_.push_back(connection);
  ++count_of(state);
}

void PoolCore::Impl::unlink(Connection& connection) {
  connection.host->list(connection.state).erase(connection);
  if (connection.state == State::idle) lru_.erase(connection);
  --count_of(connection.state);
}

void PoolCore::Impl::occupy(Connection& connection, RequestId request) {
  if (connection.occupant == request) return;
  log_occupancy(connection);
  connection.occupant = request;
  connection.occupied_since = now_;
}

void PoolCore::Impl::log_occupancy(const Connection& connection) {
  Host& host = *connection.host;
  if (!host.queue.empty()) host.log.append({connection.occupant, connection.id, connection.occupied_since, now_});
}

}  // namespace conntrace::pool
