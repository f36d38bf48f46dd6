// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <unordered_map>

#include "pool/host_table.h"
#include "pool/pool_core.h"
#include "pool/records.h"

namespace conntrace::pool {

/// The state of a PoolCore. Inputs are in pool_core.cc, the steps that they are made of in pool_steps.cc.
class PoolCore::Impl {
 public:
  explicit Impl(Limits limits)
      : limits_(limits),
        keeps_(!limits.disable_keep_alives && limits.max_idle_conns_per_host >= 0),
        max_idle_per_host_(limits.max_idle_conns_per_host == 0
                               ? 2
                               : static_cast<std::size_t>(std::max(limits.max_idle_conns_per_host, 0))) {}

  void acquire(RequestId request, const Key& key, MonoTime now, Actions& out);
  void release(ConnectionId id, std::optional<CloseReason> unusable, MonoTime now, Actions& out);
  void dialled(ConnectionId id, MonoTime now, Actions& out);
  void dial_failed(ConnectionId id, MonoTime now, Actions& out);
  void peer_closed(ConnectionId id, CloseReason reason, MonoTime now, Actions& out);
  void cancel(RequestId request, QueueOutcome outcome, MonoTime now, Actions& out);
  void close_idle_connections(MonoTime now, Actions& out);
  void expire(MonoTime now, Actions& out);
  [[nodiscard]] std::optional<MonoTime> next_deadline() const;
  [[nodiscard]] const Snapshot& snapshot() const { return counts_; }

 private:
  void enter(MonoTime now) { now_ = std::max(now_, now); }
  [[nodiscard]] Connection* find(ConnectionId id);
  [[nodiscard]] bool limited() const { return limits_.max_conns_per_host != 0; }
  [[nodiscard]] std::uint64_t& count_of(State state);
  [[nodiscard]] MonoTime idle_for(const Connection& connection) const { return now_ - connection.idle_since; }

  // Each does one step of the state machine and says so in `out`.
  [[nodiscard]] Connection* usable_idle(const Key& key, Actions& out);
  void begin_dial(Waiter& waiter, Actions& out);
  void enqueue(Waiter& waiter, Actions& out);
  void dequeue(Waiter& waiter, QueueOutcome outcome, RequestId released_by, Actions& out);
  void deliver(Connection& connection, RequestId request, Actions& out);
  void put(Connection& connection, RequestId giver, Actions& out);
  void hand_over(Connection& connection, RequestId giver, Actions& out);
  void keep(Connection& connection, Actions& out);
  void close(Connection& connection, CloseReason reason, RequestId released_by, Actions& out);
  void lose(Connection& connection, RequestId released_by, Actions& out);
  void forget(Waiter& waiter);

  void link(Connection& connection, State state);
  void unlink(Connection& connection);
  void log_occupancy(const Connection& connection);
  void occupy(Connection& connection, RequestId request);

  Limits limits_;
  bool keeps_;
  std::size_t max_idle_per_host_;
  bool close_returning_ = false;  ///< between close_idle_connections() and the next acquire()
  MonoTime now_{};
  ConnectionId last_connection_ = 0;
  HostTable hosts_;
  std::unordered_map<ConnectionId, Connection> connections_;
  std::unordered_map<RequestId, Waiter> waiters_;
  LruList lru_;  ///< idle ones of all hosts; one timeout for all makes it the order of deadlines too
  Snapshot counts_;
};

}  // namespace conntrace::pool
