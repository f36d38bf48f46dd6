// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>

#include "pool/deadlines.h"
#include "pool/holders.h"
#include "pool/host_table.h"
#include "pool/pool_core.h"
#include "pool/record_table.h"
#include "pool/records.h"

namespace conntrace::pool {

/// The state of a PoolCore. Inputs are in pool_core.cc, the steps that they are made of in pool_steps.cc, the way
/// through the limits in pool_queue.cc, who holds what in pool_slots.cc.
class PoolCore::Impl {
 public:
  explicit Impl(Limits limits) : limits_(std::move(limits)), hosts_(limits_) {
    total_.limit = Limit::max_total_conns;
    total_.size = limits_.max_total_conns;
    descriptors_.limit = Limit::fd_limit;
    dials_.limit = Limit::max_concurrent_dials;
    dials_.size = limits_.max_concurrent_dials;
  }

  void acquire(RequestId request, const Key& key, MonoTime now, Actions& out, Explain explain);
  void release(ConnectionId id, std::optional<CloseReason> unusable, MonoTime now, Actions& out, const KeepAlive& said);
  void take_back(ConnectionId id, std::optional<CloseReason> unusable, MonoTime now, Actions& out);
  void dialled(ConnectionId id, MonoTime now, Actions& out);
  void dial_failed(ConnectionId id, MonoTime now, Actions& out);
  void no_descriptor(ConnectionId id, MonoTime now, Actions& out);
  void peer_closed(ConnectionId id, CloseReason reason, MonoTime now, Actions& out);
  void cancel(RequestId request, QueueOutcome outcome, MonoTime now, Actions& out);
  void close_idle_connections(MonoTime now, Actions& out);
  void expire(MonoTime now, Actions& out);
  [[nodiscard]] std::optional<MonoTime> next_deadline() const;
  [[nodiscard]] const Snapshot& snapshot() const { return counts_; }
  [[nodiscard]] std::vector<KeySnapshot> keys() const;

 private:
  /// What a waiter needs before its dial begins, in this order.
  enum class Stage : std::uint8_t { host_slot, total_slot, descriptor, dial_slot, dial };

  void enter(MonoTime now, RequestId giver = 0) {
    now_ = std::max(now_, now);
    giver_ = giver;
  }
  [[nodiscard]] std::uint64_t& count_of(State state);
  [[nodiscard]] MonoTime idle_for(const Connection& connection) const { return now_ - connection.idle_since; }

  // Each does one step of the state machine and says so in `out`.
  [[nodiscard]] Connection* usable_idle(Host& host, Actions& out);
  void begin_dial(Waiter& waiter, Actions& out);
  void deliver(Connection& connection, RequestId request, Actions& out);
  void put(Connection& connection, Actions& out);
  void hand_over(Connection& connection, Actions& out);
  void keep(Connection& connection, Actions& out);
  void close(Connection& connection, CloseReason reason, Actions& out);
  void lose(Connection& connection, CloseReason reason);
  void drop(Connection& connection, CloseReason reason);
  void forget(Waiter& waiter);
  void detach(Waiter& waiter);
  [[nodiscard]] std::optional<CloseReason> why_worn_out(const Connection& connection) const;
  [[nodiscard]] std::optional<CloseReason> why_not_kept(const Connection& connection) const;
  [[nodiscard]] CloseReason why_expired(const Connection& connection) const;

  // The way through the limits.
  void admit(Waiter& waiter, Stage from, Actions& out);
  void enqueue(Waiter& waiter, Gate& gate, Actions& out);
  void dequeue(Waiter& waiter, QueueOutcome outcome, Actions& out);
  [[nodiscard]] bool total_full() const;
  /// What was freed in this input goes to those who wait; then the hosts that nobody needs go away. Last in every
  /// input.
  void settle(Actions& out);
  [[nodiscard]] bool admit_first(Gate& gate, Stage next, Actions& out);
  void changed(Host& host);

  // Who holds what.
  void link(Connection& connection, State state);
  void unlink(Connection& connection);
  void occupy(Connection& connection, RequestId request);
  void log_occupancy(const Connection& connection);
  void log_dial(const Connection& connection);
  void reserve(Waiter& waiter, const Gate& gate);
  void unreserve(Waiter& waiter);
  template <class Visit>
  void each_list_of(const Gate& gate, const Host& host, Visit visit) const;
  [[nodiscard]] std::uint64_t held_ns(const Gate& gate, const Host& host) const;
  [[nodiscard]] std::vector<Slot> holders_now(const Gate& gate, const Host& host) const;
  [[nodiscard]] Holders holders_during(const Waiter& waiter, const Gate& gate) const;

  const Limits limits_;
  bool close_returning_ = false;  ///< between close_idle_connections() and the next acquire()
  MonoTime now_{};
  RequestId giver_ = 0;  ///< whose release this input is
  ConnectionId last_connection_ = 0;
  HostTable hosts_;
  RecordTable<Connection> connections_;
  RecordTable<Waiter> waiters_;
  // Of all hosts.
  IntrusiveList<Connection, &Connection::in_all> idle_;  ///< in the order of their use
  HeldList<Connection, &Connection::in_all, &Connection::occupied_since> dialling_;
  HeldList<Connection, &Connection::in_pool, &Connection::occupied_since> held_;
  HeldList<Waiter, &Waiter::in_total_reserved, &Waiter::total_slot_since> reserved_;  ///< slots of max_total_conns
  Deadlines deadlines_;
  Gate total_;
  Gate descriptors_;
  Gate dials_;
  std::size_t descriptors_freed_ = 0;  ///< in this input, and not yet given to those who wait for one
  MonoTime descriptor_retry_{};        ///< while somebody waits for one
  IntrusiveList<Host, &Host::in_changed> changed_;
  Snapshot counts_;
};

}  // namespace conntrace::pool
