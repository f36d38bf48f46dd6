// SPDX-License-Identifier: Apache-2.0
#include <cassert>
#include <utility>

#include "pool/pool_impl.h"
#include "pool/why_new.h"

namespace conntrace::pool {

// The one to be used first, unless it is too old: the timer closes it at its time, but the clock may have gone on while
// nobody ran (a suspended machine).
Connection* PoolCore::Impl::usable_idle(Host& host, Actions& out) {
  const bool newest = host.limits.idle_order == IdleOrder::most_recently_used;
  while (!host.idle.empty()) {
    Connection& connection = newest ? host.idle.back() : host.idle.front();
    if (now_ <= connection.idle_until) return &connection;
    close(connection, why_expired(connection), out);
  }
  return nullptr;
}

void PoolCore::Impl::begin_dial(Waiter& waiter, Actions& out) {
  Host& host = *waiter.host;
  unreserve(waiter);
  waiter.admitted = true;
  if (!waiter.why) {
    Explanation explanation{.why = WhyNew::keep_alives_disabled};
    if (host.limits.keeps) explanation = explain_dial(host, hosts_);
    host.recent.clear();
    waiter.why = explanation.why;
    waiter.candidates = std::move(explanation.candidates);
  }
  const ConnectionId id = ++last_connection_;
  Connection& connection = connections_.make(id);
  connection.id = id;
  connection.host = &host;
  connection.serves_at_most = host.limits.max_requests;
  connection.occupant = waiter.request;
  connection.occupied_since = now_;
  connection.waiter = &waiter;
  waiter.dial = &connection;
  link(connection, State::dialling);
  host.held.push_back(connection);
  held_.push_back(connection);
  ++counts_.dials;
  out.emplace_back(Dial{id, waiter.request, *waiter.why, waiter.candidates});
}

void PoolCore::Impl::deliver(Connection& connection, RequestId request, Actions& out) {
  const bool was_idle = connection.state == State::idle;
  const bool reused = connection.served > 0;
  out.emplace_back(
      Deliver{request, connection.id, reused, was_idle, was_idle ? idle_for(connection) : MonoTime::zero()});
  ++connection.served;
  if (reused) ++counts_.reused;
  unlink(connection);
  link(connection, State::active);
  occupy(connection, request);
}

// Go's tryPutIdleConn, in its order, after what Go does not limit.
void PoolCore::Impl::put(Connection& connection, Actions& out) {
  Host& host = *connection.host;
  if (!host.limits.keeps) return close(connection, CloseReason::keep_alives_disabled, out);
  std::optional<CloseReason> refused = why_worn_out(connection);
  if (!refused && !host.idle_wait.empty()) return hand_over(connection, out);
  if (!refused) refused = why_not_kept(connection);
  out.emplace_back(PutIdle{connection.id, giver_, refused, 0});
  if (refused) return close(connection, *refused, out);
  keep(connection, out);
}

std::optional<CloseReason> PoolCore::Impl::why_worn_out(const Connection& connection) const {
  if (connection.served >= connection.serves_at_most) return CloseReason::max_requests;
  if (now_ >= connection.lives_until) return CloseReason::max_lifetime;
  if (connection.server_keeps == MonoTime::zero()) return CloseReason::keep_alive_timeout;
  return std::nullopt;
}

std::optional<CloseReason> PoolCore::Impl::why_not_kept(const Connection& connection) const {
  const Host& host = *connection.host;
  if (close_returning_) return CloseReason::close_idle_connections;
  if (host.idle.size() >= host.limits.max_idle) return CloseReason::max_idle_conns_per_host;
  // Somebody of another host needs the place more than a request that may never come.
  if (!total_.queue.empty()) return CloseReason::max_total_conns;
  if (!descriptors_.queue.empty()) return CloseReason::fd_pressure;
  return std::nullopt;
}

void PoolCore::Impl::hand_over(Connection& connection, Actions& out) {
  Waiter& waiter = connection.host->idle_wait.front();
  out.emplace_back(PutIdle{connection.id, giver_, std::nullopt, waiter.request});
  if (waiter.gate) {
    const bool donated = connection.state == State::dialling;
    dequeue(waiter, donated ? QueueOutcome::dial_donated : QueueOutcome::handoff, out);
  }
  deliver(connection, waiter.request, out);
  forget(waiter);
}

void PoolCore::Impl::keep(Connection& connection, Actions& out) {
  unlink(connection);
  link(connection, State::idle);
  occupy(connection, 0);
  connection.idle_since = now_;
  const MonoTime idle = std::min(connection.host->limits.idle_timeout, safe_idle_time(connection.server_keeps));
  connection.idle_until = idle < connection.lives_until - now_ ? now_ + idle : connection.lives_until;
  if (connection.idle_until != MonoTime::max()) deadlines_.set(connection, connection.idle_until);
  if (limits_.max_idle_conns != 0 && idle_.size() > limits_.max_idle_conns) {
    close(idle_.front(), CloseReason::max_idle_conns, out);
  }
}

CloseReason PoolCore::Impl::why_expired(const Connection& connection) const {
  const MonoTime idle = connection.idle_until - connection.idle_since;
  if (idle == connection.host->limits.idle_timeout) return CloseReason::idle_timeout;
  return connection.idle_until == connection.lives_until ? CloseReason::max_lifetime : CloseReason::keep_alive_timeout;
}

void PoolCore::Impl::close(Connection& connection, CloseReason reason, Actions& out) {
  std::optional<MonoTime> idle;
  if (connection.state == State::idle) idle = idle_for(connection);
  out.emplace_back(Close{connection.id, reason, idle});
  connection.host->recent.remember(connection.id, reason);
  lose(connection, reason);
}

// Its slots, and its descriptor, go to those who wait for them: settle().
void PoolCore::Impl::lose(Connection& connection, CloseReason reason) {
  if (!descriptors_.queue.empty() || reason == CloseReason::fd_pressure) ++descriptors_freed_;
  drop(connection, reason);
}

void PoolCore::Impl::drop(Connection& connection, CloseReason reason) {
  log_occupancy(connection);
  unlink(connection);
  connection.host->held.erase(connection);
  held_.erase(connection);
  deadlines_.remove(connection);
  ++counts_.closed;
  ++counts_.closed_by[static_cast<std::size_t>(reason)];
  changed(*connection.host);
  connections_.erase(connection.id, connection);
}

// In a long queue the next waiter came long ago: by the time it is its turn, it is in the cache.
static void prefetch(const Waiter& next) {
  const auto* bytes = reinterpret_cast<const char*>(&next);
  for (std::size_t at = 0; at < sizeof next; at += 64) __builtin_prefetch(bytes + at, 1);
}

// The request waits no more; a dial of its own goes on for nobody.
void PoolCore::Impl::forget(Waiter& waiter) {
  assert(waiter.gate == nullptr);
  Host& host = *waiter.host;
  if (waiter.in_idle_wait.linked()) host.idle_wait.erase(waiter);
  if (!host.idle_wait.empty()) prefetch(host.idle_wait.front());
  detach(waiter);
  unreserve(waiter);
  changed(host);
  waiters_.erase(waiter.request, waiter);
}

void PoolCore::Impl::detach(Waiter& waiter) {
  Connection* dial = std::exchange(waiter.dial, nullptr);
  if (dial == nullptr || dial->waiter != &waiter) return;
  dial->waiter = nullptr;
  occupy(*dial, 0);
}

}  // namespace conntrace::pool
