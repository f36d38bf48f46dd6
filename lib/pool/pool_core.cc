// SPDX-License-Identifier: Apache-2.0
#include "pool/pool_core.h"

#include <algorithm>
#include <cassert>
#include <utility>
#include <vector>

#include "pool/pool_impl.h"

namespace conntrace::pool {

void PoolCore::Impl::acquire(RequestId request, const Key& key, MonoTime now, Actions& out) {
  enter(now);
  assert(request != 0 && !waiters_.contains(request));
  close_returning_ = false;
  if (Connection* idle = usable_idle(key, out)) return deliver(*idle, request, out);
  Host& host = hosts_.get(key);
  Waiter& waiter = waiters_[request];
  waiter.request = request;
  waiter.host = &host;
  if (keeps_) host.idle_wait.push_back(waiter);
  if (limited() && host.open() >= limits_.max_conns_per_host) {
    enqueue(waiter, out);
  } else {
    begin_dial(waiter, out);
  }
}

void PoolCore::Impl::release(ConnectionId id, std::optional<CloseReason> unusable, MonoTime now, Actions& out) {
  enter(now);
  Connection* connection = find(id);
  assert(connection && connection->state == State::active);
  const RequestId giver = connection->occupant;
  if (unusable) return close(*connection, *unusable, giver, out);
  put(*connection, giver, out);
}

void PoolCore::Impl::dialled(ConnectionId id, MonoTime now, Actions& out) {
  enter(now);
  Connection* connection = find(id);
  if (!connection) return;
  assert(connection->state == State::dialling);
  Waiter* waiter = std::exchange(connection->waiter, nullptr);
  if (!waiter) return put(*connection, 0, out);
  deliver(*connection, waiter->request, out);
  forget(*waiter);
}

void PoolCore::Impl::dial_failed(ConnectionId id, MonoTime now, Actions& out) {
  enter(now);
  Connection* connection = find(id);
  if (!connection) return;
  assert(connection->state == State::dialling);
  if (Waiter* waiter = std::exchange(connection->waiter, nullptr)) {
    out.push_back(AcquireFailed{waiter->request, id});
    forget(*waiter);
  }
  lose(*connection, 0, out);
}

void PoolCore::Impl::peer_closed(ConnectionId id, CloseReason reason, MonoTime now, Actions& out) {
  enter(now);
  Connection* connection = find(id);
  if (connection && connection->state == State::idle) close(*connection, reason, 0, out);
}

void PoolCore::Impl::cancel(RequestId request, QueueOutcome outcome, MonoTime now, Actions& out) {
  enter(now);
  const auto place = waiters_.find(request);
  if (place == waiters_.end()) return;
  Waiter& waiter = place->second;
  if (waiter.in_queue.linked) dequeue(waiter, outcome, 0, out);
  forget(waiter);
}

void PoolCore::Impl::close_idle_connections(MonoTime now, Actions& out) {
  enter(now);
  close_returning_ = true;
  while (!lru_.empty()) close(lru_.front(), CloseReason::close_idle_connections, 0, out);
  std::vector<ConnectionId> unwanted;
  for (const auto& [id, connection] : connections_) {
    if (connection.state == State::dialling && !connection.waiter) unwanted.push_back(id);
  }
  std::sort(unwanted.begin(), unwanted.end());
  for (const ConnectionId id : unwanted) {
    out.push_back(Close{id, CloseReason::close_idle_connections, std::nullopt});
    lose(*find(id), 0, out);
  }
}

void PoolCore::Impl::expire(MonoTime now, Actions& out) {
  enter(now);
  if (limits_.idle_conn_timeout.count() <= 0) return;
  while (!lru_.empty() && idle_for(lru_.front()) >= limits_.idle_conn_timeout) {
    close(lru_.front(), CloseReason::idle_timeout, 0, out);
  }
}

std::optional<MonoTime> PoolCore::Impl::next_deadline() const {
  const MonoTime timeout = limits_.idle_conn_timeout;
  if (lru_.empty() || timeout.count() <= 0) return std::nullopt;
  const MonoTime since = lru_.front().idle_since;
  if (timeout > MonoTime::max() - since) return std::nullopt;
  return since + timeout;
}

PoolCore::PoolCore(Limits limits) : impl_(std::make_unique<Impl>(limits)) {}
PoolCore::~PoolCore() = default;
PoolCore::PoolCore(PoolCore&&) noexcept = default;
PoolCore& PoolCore::operator=(PoolCore&&) noexcept = default;

void PoolCore::acquire(RequestId request, const Key& key, MonoTime now, Actions& out) {
  impl_->acquire(request, key, now, out);
}
void PoolCore::release(ConnectionId connection, std::optional<CloseReason> unusable, MonoTime now, Actions& out) {
  impl_->release(connection, unusable, now, out);
}
void PoolCore::dialled(ConnectionId connection, MonoTime now, Actions& out) { impl_->dialled(connection, now, out); }
void PoolCore::dial_failed(ConnectionId connection, MonoTime now, Actions& out) {
  impl_->dial_failed(connection, now, out);
}
void PoolCore::peer_closed(ConnectionId connection, CloseReason reason, MonoTime now, Actions& out) {
  impl_->peer_closed(connection, reason, now, out);
}
void PoolCore::cancel(RequestId request, QueueOutcome outcome, MonoTime now, Actions& out) {
  impl_->cancel(request, outcome, now, out);
}
void PoolCore::close_idle_connections(MonoTime now, Actions& out) { impl_->close_idle_connections(now, out); }
void PoolCore::expire(MonoTime now, Actions& out) { impl_->expire(now, out); }
std::optional<MonoTime> PoolCore::next_deadline() const { return impl_->next_deadline(); }
Snapshot PoolCore::snapshot() const { return impl_->snapshot(); }

}  // namespace conntrace::pool
