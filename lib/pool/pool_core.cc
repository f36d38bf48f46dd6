// SPDX-License-Identifier: Apache-2.0
#include "pool/pool_core.h"

#include <cassert>
#include <utility>
#include <vector>

#include "pool/pool_impl.h"

namespace conntrace::pool {

void PoolCore::Impl::acquire(RequestId request, const Key& key, MonoTime now, Actions& out, Explain explain) {
  enter(now);
  assert(request != 0 && waiters_.find(request) == nullptr);
  close_returning_ = false;
  Host& host = hosts_.get(key);
  if (Connection* idle = usable_idle(host, out)) {
    deliver(*idle, request, out);
  } else {
    Waiter& waiter = waiters_.make(request);
    waiter.request = request;
    waiter.host = &host;
    waiter.explain = explain == Explain::yes;
    if (host.limits.keeps) host.idle_wait.push_back(waiter);
    admit(waiter, Stage::host_slot, out);
  }
  settle(out);
}

void PoolCore::Impl::release(ConnectionId id, std::optional<CloseReason> unusable, MonoTime now, Actions& out,
                             const KeepAlive& said) {
  Connection* connection = connections_.find(id);
  assert(connection && connection->state == State::active);
  enter(now, connection->occupant);
  if (unusable) {
    close(*connection, *unusable, out);
  } else {
    if (said.timeout != MonoTime::max()) connection->server_keeps = said.timeout;
    if (said.max != KeepAlive::kNotSaid) {
      const std::uint64_t ours = connection->host->limits.max_requests;
      connection->serves_at_most = said.max < ours - connection->served ? connection->served + said.max : ours;
    }
    put(*connection, out);
  }
  settle(out);
}

void PoolCore::Impl::dialled(ConnectionId id, MonoTime now, Actions& out) {
  Connection* connection = connections_.find(id);
  if (!connection) return;
  assert(connection->state == State::dialling);
  Waiter* waiter = std::exchange(connection->waiter, nullptr);
  enter(now, waiter ? waiter->request : 0);
  connection->lives_until = now_ + std::min(lifetime_of(id, connection->host->limits), MonoTime::max() - now_);
  changed(*connection->host);
  if (waiter) {
    deliver(*connection, waiter->request, out);
    forget(*waiter);
  } else {
    put(*connection, out);
  }
  settle(out);
}

void PoolCore::Impl::take_back(ConnectionId id, std::optional<CloseReason> unusable, MonoTime now, Actions& out) {
  Connection* connection = connections_.find(id);
  assert(connection && connection->served > 0);
  if (--connection->served > 0) --counts_.reused;
  release(id, unusable, now, out, {});
}

void PoolCore::Impl::dial_failed(ConnectionId id, MonoTime now, Actions& out) {
  Connection* connection = connections_.find(id);
  if (!connection) return;
  assert(connection->state == State::dialling);
  enter(now);
  if (Waiter* waiter = std::exchange(connection->waiter, nullptr)) {
    out.emplace_back(AcquireFailed{waiter->request, id});
    forget(*waiter);
  }
  lose(*connection, CloseReason::dial_failed);
  settle(out);
}

void PoolCore::Impl::no_descriptor(ConnectionId id, MonoTime now, Actions& out) {
  Connection* connection = connections_.find(id);
  if (!connection) return;
  assert(connection->state == State::dialling);
  enter(now);
  for (std::size_t i = 0; i < kMostEvictedForDescriptors && !idle_.empty(); ++i) {
    close(idle_.front(), CloseReason::fd_pressure, out);
  }
  Waiter* waiter = std::exchange(connection->waiter, nullptr);
  drop(*connection, CloseReason::dial_failed);
  if (waiter) {
    // Its slots stay its own: it is still the one whose turn it is.
    waiter->dial = nullptr;
    if (descriptors_.queue.empty() && descriptors_freed_ > 0) {
      --descriptors_freed_;
      admit(*waiter, Stage::dial_slot, out);
    } else {
      enqueue(*waiter, descriptors_, out);
    }
  }
  settle(out);
}

void PoolCore::Impl::peer_closed(ConnectionId id, CloseReason reason, MonoTime now, Actions& out) {
  enter(now);
  Connection* connection = connections_.find(id);
  if (!connection || connection->state != State::idle) return;
  close(*connection, reason, out);
  settle(out);
}

void PoolCore::Impl::cancel(RequestId request, QueueOutcome outcome, MonoTime now, Actions& out) {
  enter(now);
  Waiter* waiter = waiters_.find(request);
  if (!waiter) return;
  if (waiter->gate) dequeue(*waiter, outcome, out);
  forget(*waiter);
  settle(out);
}

void PoolCore::Impl::close_idle_connections(MonoTime now, Actions& out) {
  enter(now);
  close_returning_ = true;
  while (!idle_.empty()) close(idle_.front(), CloseReason::close_idle_connections, out);
  std::vector<Connection*> unwanted;
  for (Connection& connection : dialling_) {
    if (!connection.waiter) unwanted.push_back(&connection);
  }
  for (Connection* dial : unwanted) {
    out.emplace_back(Close{dial->id, CloseReason::close_idle_connections, std::nullopt});
    lose(*dial, CloseReason::close_idle_connections);
  }
  settle(out);
}

void PoolCore::Impl::expire(MonoTime now, Actions& out) {
  enter(now);
  while (!deadlines_.empty() && deadlines_.first().deadline <= now_) {
    Connection& connection = deadlines_.first();
    if (connection.state != State::idle) {
      deadlines_.remove(connection);
    } else if (connection.idle_until > connection.deadline) {
      deadlines_.postpone(connection, connection.idle_until);
    } else {
      close(connection, why_expired(connection), out);
    }
  }
  if (!descriptors_.queue.empty() && descriptor_retry_ <= now_) {
    descriptor_retry_ = now_ + kDescriptorRetry;
    ++descriptors_freed_;
  }
  settle(out);
}

std::optional<MonoTime> PoolCore::Impl::next_deadline() const {
  std::optional<MonoTime> next;
  if (!deadlines_.empty()) next = deadlines_.first().deadline;
  if (!descriptors_.queue.empty()) next = std::min(next.value_or(descriptor_retry_), descriptor_retry_);
  return next;
}

std::vector<KeySnapshot> PoolCore::Impl::keys() const { return hosts_.used(); }

PoolCore::PoolCore(Limits limits) : impl_(std::make_unique<Impl>(std::move(limits))) {}
PoolCore::~PoolCore() = default;
PoolCore::PoolCore(PoolCore&&) noexcept = default;
PoolCore& PoolCore::operator=(PoolCore&&) noexcept = default;

void PoolCore::acquire(RequestId request, const Key& key, MonoTime now, Actions& out, Explain explain) {
  impl_->acquire(request, key, now, out, explain);
}
void PoolCore::release(ConnectionId connection, std::optional<CloseReason> unusable, MonoTime now, Actions& out,
                       const KeepAlive& said) {
  impl_->release(connection, unusable, now, out, said);
}
void PoolCore::take_back(ConnectionId connection, std::optional<CloseReason> unusable, MonoTime now, Actions& out) {
  impl_->take_back(connection, unusable, now, out);
}
void PoolCore::dialled(ConnectionId connection, MonoTime now, Actions& out) { impl_->dialled(connection, now, out); }
void PoolCore::dial_failed(ConnectionId connection, MonoTime now, Actions& out) {
  impl_->dial_failed(connection, now, out);
}
void PoolCore::no_descriptor(ConnectionId connection, MonoTime now, Actions& out) {
  impl_->no_descriptor(connection, now, out);
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
std::vector<KeySnapshot> PoolCore::keys() const { return impl_->keys(); }

}  // namespace conntrace::pool
