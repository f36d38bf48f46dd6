// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>
#include <optional>
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
  explicit PoolModel(Limits limits) : limits_(std::move(limits)) {}

  struct Conn {
    Key key;
    enum { dialling, active, idle } state = dialling;
    RequestId request = 0;  ///< dialling: who waits for it; active: who uses it
    std::uint64_t served = 0;
    std::uint64_t serves_at_most = 0;
    MonoTime lives_until = MonoTime::max();
    MonoTime server_keeps = MonoTime::max();
    MonoTime idle_since{};
    MonoTime idle_until{};
    std::uint64_t idle_order = 0;
  };
  struct Req {
    Key key;
    bool explain = true;
    bool admitted = false;
    std::optional<Limit> queued;
    MonoTime queued_at{};
    std::size_t history_mark = 0;
    ConnectionId dial = 0;
    std::optional<Dial> first_dial;  ///< when it lacked a descriptor
  };

  // What the driver does, before the actions of it are checked.
  void acquired(RequestId request, const Key& key, Explain explain);
  void released(ConnectionId connection, std::optional<CloseReason> unusable, const KeepAlive& said);
  void dialled(ConnectionId connection);
  void dial_failed(ConnectionId connection);
  void no_descriptor(ConnectionId connection);
  void peer_closed(ConnectionId connection, CloseReason reason);
  void cancelled(RequestId request, QueueOutcome outcome);
  void closed_idle();
  void expired() { expiring_ = true; }

  /// Checks and follows the actions of the last input, then the state that results.
  void follow(const Actions& actions, const PoolCore& core, MonoTime now);

  std::map<ConnectionId, Conn> connections;
  std::map<RequestId, Req> waiting;
  std::uint64_t deliveries = 0, failures = 0, cancels = 0, refusals = 0;
  std::map<Limit, std::uint64_t> dequeues;
  std::map<CloseReason, std::uint64_t> closes;

 private:
  struct Held {
    RequestId request = 0;
    ConnectionId connection = 0;
    MonoTime from{};
    MonoTime to{};
  };
  /// A limit: who waits for it, first come first, and who held its slots.
  struct Gate {
    std::vector<RequestId> order;
    std::vector<Held> history;
    std::map<std::pair<ConnectionId, RequestId>, Held> held;  ///< by connection, or by request while it has none
  };
  using Shares = std::map<std::pair<RequestId, ConnectionId>, double>;

  void on(const Dial& a);
  void on(const Deliver& a);
  void on(const Queued& a);
  void on(const Dequeued& a);
  void on(const PutIdle& a);
  void on(const Close& a);
  void on(const Refused& a);
  void on(const AcquireFailed& a);
  void check_shares(const Dequeued& a, const Req& request, const Gate& gate);
  void check_state(const PoolCore& core);
  void check_limits();
  void check_candidates(const Dial& a, const Req& request);

  [[nodiscard]] KeyLimits limits(const Key& key) const { return limits_for(limits_, key.authority); }
  [[nodiscard]] Gate& gate(Limit limit, const Key& key);
  [[nodiscard]] std::size_t idle(const Key& key) const;
  [[nodiscard]] std::size_t count(decltype(Conn::dialling) state) const;
  /// Slots of the limit that are held, not counting what this request has.
  [[nodiscard]] std::size_t held(Limit limit, const Key& key, RequestId but = 0);
  [[nodiscard]] std::size_t size(Limit limit, const Key& key) const;
  [[nodiscard]] std::size_t queued(const Key& key) const;
  /// The idle one of least order; of all keys, or the one of a key that is to be used first.
  [[nodiscard]] ConnectionId oldest_idle() const;
  [[nodiscard]] ConnectionId next_idle(const Key& key) const;
  [[nodiscard]] RequestId first_waiting(const Key& key) const;
  [[nodiscard]] std::optional<CloseReason> expected_refusal(const Conn& conn);
  [[nodiscard]] CloseReason expiry(const Conn& conn) const;

  void hold(Gate& gate, ConnectionId connection, RequestId request);
  void let_go(Gate& gate, ConnectionId connection, RequestId request);
  void occupy(ConnectionId connection, RequestId request);
  void dial_over(ConnectionId connection);
  void keep(ConnectionId connection);
  void let_reserved_go(RequestId request);
  void ended(RequestId request);
  void gone(ConnectionId connection, CloseReason reason);

  static std::string name(const Key& key) { return key.proxy + '|' + key.scheme + '|' + key.authority; }

  Limits limits_;
  MonoTime now_{};
  std::map<std::string, Gate> gates_;
  std::map<std::string, std::vector<RequestId>> order_;  ///< by key: acquire order
  std::set<ConnectionId> ever_closed_;
  ConnectionId last_ = 0;
  std::uint64_t idle_order_ = 0;
  std::uint64_t enters_ = 0;
  std::uint64_t leaves_ = 0;
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
  ConnectionId lacked_ = 0;      ///< the dial that had no descriptor
  RequestId lacking_ = 0;        ///< who waited for it
  std::size_t evicted_ = 0;
  bool closing_idle_ = false;
  bool expiring_ = false;
};

}  // namespace conntrace::pool
