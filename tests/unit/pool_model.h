// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "pool/pool_core.h"

namespace conntrace::pool {

/// A slow and obvious account of what a PoolCore may do: it is told the inputs, follows the actions, and reports each
/// one that the rules do not allow as a GoogleTest failure.
class PoolModel {
 public:
  explicit PoolModel(Limits limits) : limits_(limits) {}

  struct Conn {
    Key key;
    enum { dialling, active, idle } state = dialling;
    RequestId request = 0;  ///< dialling: who waits for it; active: who uses it
    bool carried = false;   ///< a request
    MonoTime idle_since{};
    std::uint64_t idle_order = 0;
  };
  struct Req {
    Key key;
    bool queued = false;
    MonoTime queued_at{};
    std::size_t history_mark = 0;
    ConnectionId dial = 0;
  };

  // What the driver does, before the actions of it are checked.
  void acquired(RequestId request, const Key& key);
  void released(ConnectionId connection, std::optional<CloseReason> unusable);
  void dialled(ConnectionId connection);
  void dial_failed(ConnectionId connection);
  void peer_closed(ConnectionId connection, CloseReason reason);
  void cancelled(RequestId request, QueueOutcome outcome);
  void closed_idle();
  void expired() {}

  /// Checks and follows the actions of the last input, then the state that results.
  void follow(const Actions& actions, const PoolCore& core, MonoTime now);

  std::map<ConnectionId, Conn> connections;
  std::map<RequestId, Req> waiting;
  std::uint64_t deliveries = 0, failures = 0, cancels = 0, dequeues = 0;

 private:
  struct Interval {
    RequestId request;
    ConnectionId connection;
    MonoTime from, to;
  };
  using Slots = std::map<std::pair<RequestId, ConnectionId>, double>;

  void on(const Dial& a);
  void on(const Deliver& a);
  void on(const Queued& a);
  void on(const Dequeued& a);
  void on(const PutIdle& a);
  void on(const Close& a);
  void on(const AcquireFailed& a);
  void check_shares(const Dequeued& a, const Req& request);
  void check_state(const PoolCore& core);

  [[nodiscard]] std::size_t open(const Key& key) const;
  [[nodiscard]] std::size_t idle(const Key& key) const;
  [[nodiscard]] std::size_t idle() const;
  [[nodiscard]] bool keeps() const { return !limits_.disable_keep_alives && limits_.max_idle_conns_per_host >= 0; }
  [[nodiscard]] std::size_t idle_cap() const;
  /// The idle one of least or greatest order; of all keys, or of one.
  [[nodiscard]] ConnectionId oldest_idle() const;
  [[nodiscard]] ConnectionId newest_idle(const Key& key) const;
  [[nodiscard]] RequestId first_waiting(const Key& key, bool queued) const;
  void occupy(ConnectionId connection, RequestId request);
  void ended(RequestId request);
  void gone(ConnectionId connection);

  /// Acquire order per key: what FIFO means.
  static std::string name(const Key& key) { return key.proxy + '|' + key.scheme + '|' + key.authority; }
  struct PerKey {
    std::vector<RequestId> order;
    std::vector<Interval> history;
    std::map<ConnectionId, std::pair<RequestId, MonoTime>> occupied;
  };

  Limits limits_;
  MonoTime now_{};
  std::map<std::string, PerKey> keys_;
  std::set<ConnectionId> ever_closed_;
  ConnectionId last_ = 0;
  std::uint64_t idle_order_ = 0;
  bool close_returning_ = false;
  // The input that the actions belong to.
  ConnectionId given_ = 0;  ///< released or dialled just now, and not yet placed
  RequestId giver_ = 0;
  RequestId cancelled_ = 0;
  QueueOutcome cancel_outcome_ = QueueOutcome::cancelled;
  std::optional<CloseReason> given_reason_;
  ConnectionId handed_ = 0;
  RequestId handed_to_ = 0;
  ConnectionId must_close_ = 0;  ///< after a refusal
  bool closing_idle_ = false;
};

}  // namespace conntrace::pool
