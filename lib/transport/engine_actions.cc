// SPDX-License-Identifier: Apache-2.0
// What PoolCore decided, carried out and told.
#include <fmt/format.h>

#include <algorithm>

#include "transport/engine.h"

namespace conntrace::transport {
namespace {

/// More would not fit into a record; the rest is one share.
constexpr std::size_t kMaxHolders = 16;

std::optional<std::uint64_t> known(std::uint64_t id) { return id != 0 ? std::optional(id) : std::nullopt; }

std::uint64_t nanoseconds(MonoTime time) { return static_cast<std::uint64_t>(time.count()); }

}  // namespace

void Engine::apply(const pool::Dial& action) {
  RequestState* request = find_request(action.request);
  std::shared_ptr<const Destination> target = request->target;
  request->dial = action.connection;
  auto owned = connection_memory_.make(*this, action.connection, std::move(target), action.request);
  Connection& connection = *owned;
  connections_.emplace(action.connection, std::move(owned));
  fire<&ClientTrace::why_new>(request, &connection, [&] {
    scratch_candidates_.clear();
    for (const auto& [id, reason] : action.candidates)
      scratch_candidates_.push_back({.connection = id, .reason = reason});
    return WhyNewInfo{.reason = action.why, .host_port = connection.target->hop, .candidates = scratch_candidates_};
  });
  limit_wait(*request);
  connection.begin_dial();
}

void Engine::apply(const pool::Deliver& action) {
  RequestState* request = find_request(action.request);
  Connection& connection = *connections_.at(action.connection);
  const bool waits = request != nullptr && request->stage == RequestState::Stage::waiting;
  // What came before this turn has been handled; a FIN that arrived during it may not have been seen yet, or not have
  // counted, since the pool had decided already.
  const bool stale = action.was_idle && connection.idle_since < turn_start && connection.idle_verdict();
  if (!waits || stale) {
    // One of the two ended between the decision and now: a good connection goes back as it came.
    pool_.take_back(action.connection, stale ? std::optional(CloseReason::stale_on_check) : std::nullopt, mono_now(),
                    actions_);
    if (waits) acquire(*request, mono_now());
    return;
  }
  waits_no_more(*request);
  request->stage = RequestState::Stage::active;
  request->connection = action.connection;
  const MonoTime now = mono_now();
  if (action.connection == request->dial) request->phases.split(connection.dial_phases, now);
  fire<&ClientTrace::got_conn>(
      request, &connection, [&] { return connection.got_conn(action.reused, action.was_idle, action.idle); }, now);
  connection.start_exchange(*request, now);
}

void Engine::apply(const pool::Queued& action) {
  RequestState* request = find_request(action.request);
  if (request == nullptr) return;
  limit_wait(*request);
  const bool descriptors = action.limit == Limit::fd_limit;
  if (descriptors) limit_wait_for_descriptor(*request);
  request->holders_doing.clear();
  for (const pool::Slot& slot : action.holders) {
    request->holders_doing.emplace_back(slot.connection, doing(slot));
  }
  fire<&ClientTrace::queue_enter>(request, nullptr, [&] {
    scratch_holders_ = holders_of(action.holders, *request);
    if (scratch_holders_.size() > kMaxHolders) scratch_holders_.resize(kMaxHolders);
    return QueueEnterInfo{.limit = action.limit,
                          .limit_value = descriptors ? Descriptors::soft_limit().value_or(0) : action.limit_value,
                          .position = action.position,
                          .depth = action.depth,
                          .holders = scratch_holders_};
  });
}

void Engine::apply(const pool::Dequeued& action) {
  RequestState* request = find_request(action.request);
  if (request == nullptr) return;
  fire<&ClientTrace::queue_leave>(request, nullptr, [&] {
    scratch_holders_ = holders_of(action.holders, *request);
    double others = action.others_share;
    while (scratch_holders_.size() > kMaxHolders) {
      others += scratch_holders_.back().share;
      scratch_holders_.pop_back();
    }
    return QueueLeaveInfo{.limit = action.limit,
                          .outcome = action.outcome,
                          .waited_ns = nanoseconds(action.waited),
                          .released_by = known(action.released_by),
                          .holders = scratch_holders_,
                          .others_share = others};
  });
}

void Engine::apply(const pool::PutIdle& action) {
  Connection& connection = *connections_.at(action.connection);
  if (!action.refused && action.handed_to == 0) connection.idle_since = turn_start;
  fire<&ClientTrace::put_idle_conn>(find_request(action.request), &connection, [&] {
    return PutIdleConnInfo{.error = action.refused ? to_string(*action.refused) : Text(),
                           .handed_to = known(action.handed_to)};
  });
}

void Engine::apply(const pool::Close& action) {
  const auto found = connections_.find(action.connection);
  if (found == connections_.end()) return;
  if (found->second->dialling()) {  // one that nobody waits for; its hooks get their ends, the pool has forgotten it
    found->second->abort_dial(make_error(Errc::cancelled, found->second->target->host_port, found->second->dial_phase));
    return;
  }
  const CloseReason reason = shutting_down_ ? CloseReason::transport_shutdown : action.reason;
  found->second->close(reason, action.idle);
  bury(action.connection);
}

void Engine::apply(const pool::Refused& action) {
  RequestState* request = find_request(action.request);
  if (request == nullptr || request->stage != RequestState::Stage::waiting) return;
  request->got_no_connection = true;
  request->error =
      make_error(Errc::queue_full, fmt::format("{} ({} requests wait)", request->target->host_port, action.limit_value),
                 Phase::blocked);
  finish(*request, mono_now());
}

void Engine::apply(const pool::AcquireFailed& action) {
  RequestState* request = find_request(action.request);
  if (request == nullptr || request->stage != RequestState::Stage::waiting) return;
  const auto found = connections_.find(action.connection);
  request->got_no_connection = true;
  request->error = found != connections_.end() && found->second->dial_error
                       ? *found->second->dial_error
                       : make_error(Errc::shutdown, request->target->host_port, Phase::connect);
  finish(*request, mono_now());
}

Phase Engine::doing(const pool::Slot& slot) const {
  if (slot.connection == 0) return Phase::blocked;
  if (const RequestState* holder = find_request(slot.request); holder != nullptr) {
    if (holder->stage == RequestState::Stage::active) return holder->phase();
  }
  const auto found = connections_.find(slot.connection);
  return found != connections_.end() && found->second->dialling() ? found->second->dial_phase : Phase::none;
}

std::vector<Holder> Engine::holders_of(const std::vector<pool::Slot>& slots, const RequestState& waiter) const {
  std::vector<Holder> holders;
  holders.reserve(slots.size());
  for (const pool::Slot& slot : slots) {
    const auto then = std::find_if(waiter.holders_doing.begin(), waiter.holders_doing.end(), [&](const auto& entry) {
      return entry.first == slot.connection && slot.connection != 0;
    });
    holders.push_back({.request = known(slot.request),
                       .connection = slot.connection,
                       .doing = then != waiter.holders_doing.end() ? then->second : doing(slot),
                       .share = slot.share});
  }
  return holders;
}

void Engine::bury(ConnectionId id) {
  auto node = connections_.extract(id);
  if (!node.empty()) graves_.push_back(std::move(node.mapped()));
}

PoolSnapshot Engine::snapshot() const {
  const pool::Snapshot now = pool_.snapshot();
  return {.open = now.open(),
          .idle = now.idle,
          .active = now.active,
          .dialling = now.dialling,
          .waiting = now.waiting,
          .dials = now.dials,
          .closed = now.closed,
          .reused = now.reused,
          .queue_enters = now.queue_enters,
          .queue_leaves = now.queue_leaves,
          .refused = now.refused,
          .closed_by = now.closed_by};
}

std::vector<HostSnapshot> Engine::host_snapshots() const {
  std::vector<HostSnapshot> hosts;
  for (pool::KeySnapshot& now : pool_.keys()) {
    hosts.push_back({std::move(now.key.proxy), std::move(now.key.scheme), std::move(now.key.authority), now.idle,
                     now.active, now.dialling, now.waiting});
  }
  return hosts;
}

void Engine::publish(const ClientTrace* only, bool live) {
  const ClientTrace* trace = only != nullptr ? only : hooks.wide().get();
  if (trace == nullptr) return;
  drain();  // what this turn has decided is done before it is shown
  const MonoTime now = mono_now();
  if (live && trace->live_connection) {
    for (const auto& entry : connections_) {
      const Connection& connection = *entry.second;
      if (connection.dialling()) continue;
      hooks.guard([&] { trace->live_connection(context(nullptr, &connection, now), connection.live()); });
    }
  }
  if (live && trace->live_request) {
    for (const auto& entry : requests_) {
      const RequestState* request = entry.second.get();
      const auto found = connections_.find(request->connection);
      const Connection* connection = found != connections_.end() ? found->second.get() : nullptr;
      const LiveRequestInfo info{.method = request->request.method,
                                 .url = request->target->redacted,
                                 .host = request->target->host_port,
                                 .start_mono_ns = nanoseconds(request->start),
                                 .phase = request->phase()};
      hooks.guard([&] { trace->live_request(context(request, connection, now), info); });
    }
  }
  if (trace->pool_snapshot) {
    const PoolSnapshot pool = snapshot();
    scratch_counts_.clear();
    for (std::size_t i = 0; i < pool.closed_by.size(); ++i) {
      if (pool.closed_by[i] != 0) scratch_counts_.push_back({static_cast<CloseReason>(i), pool.closed_by[i]});
    }
    const PoolSnapshotInfo info{.open = pool.open,
                                .idle = pool.idle,
                                .active = pool.active,
                                .dialling = pool.dialling,
                                .waiting = pool.waiting,
                                .dials = pool.dials,
                                .closed = pool.closed,
                                .reused = pool.reused,
                                .queue_enters = pool.queue_enters,
                                .queue_leaves = pool.queue_leaves,
                                .refused = pool.refused,
                                .closed_by = scratch_counts_};
    hooks.guard([&] { trace->pool_snapshot(context(nullptr, nullptr, now), info); });
  }
}

}  // namespace conntrace::transport
