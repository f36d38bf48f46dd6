// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "conntrace/clock.h"
#include "conntrace/ids.h"
#include "conntrace/reasons.h"

namespace conntrace::pool {

/// What makes two requests able to share a connection. Source: Go's connectMethodKey.
struct Key {
  std::string proxy;      ///< URL with userinfo; empty: none
  std::string scheme;     ///< http or https
  std::string authority;  ///< host:port, lower case
  friend bool operator==(const Key&, const Key&) = default;
};

/// Go's limits. 0 means none, but for max_idle_conns_per_host, where it means 2 and a negative number keeps none.
struct Limits {
  std::size_t max_idle_conns = 100;
  int max_idle_conns_per_host = 2;
  std::size_t max_conns_per_host = 0;
  MonoTime idle_conn_timeout = std::chrono::seconds(90);
  bool disable_keep_alives = false;
};

/// A slot of a limit and who uses it. request 0: an idle connection, or a dial that nobody waits for.
struct Slot {
  RequestId request = 0;
  ConnectionId connection = 0;
  double share = 0;  ///< in Dequeued: its part of the wait; in Queued 0
};

struct Rejected {
  ConnectionId connection = 0;
  WhyNew reason = WhyNew::unknown;
};

// What the owner of the pool must do, in order.

/// Begin a dial; answer with dialled() or dial_failed().
struct Dial {
  ConnectionId connection = 0;
  RequestId request = 0;  ///< who made it begin
  WhyNew why = WhyNew::no_idle;
  std::vector<Rejected> candidates;
};
/// The request has this connection now.
struct Deliver {
  RequestId request = 0;
  ConnectionId connection = 0;
  bool reused = false;    ///< it carried a request before
  bool was_idle = false;  ///< it came from the idle list
  MonoTime idle{};        ///< for how long, if it did
};
/// The request waits because a limit binds.
struct Queued {
  RequestId request = 0;
  Limit limit = Limit::max_conns_per_host;
  std::uint64_t limit_value = 0;
  std::uint32_t position = 0;  ///< from 1
  std::uint32_t depth = 0;
  std::vector<Slot> holders;
};
/// That wait is over. Comes before the Deliver or Dial that ends it.
struct Dequeued {
  RequestId request = 0;
  Limit limit = Limit::max_conns_per_host;
  QueueOutcome outcome = QueueOutcome::slot_freed;
  MonoTime waited{};
  RequestId released_by = 0;  ///< 0: nobody's release (cancelled, an idle connection died, …)
  std::vector<Slot> holders;  ///< largest share first
  double others_share = 0;    ///< of holders that are not listed because the wait had too many; with it all sum to 1
};
/// The connection that release() gave back, or a dial that nobody waits for, is kept or handed on, or a limit refuses
/// it. Not for one that cannot be used again, nor when connections are never kept: that is a Close alone, as Go has it.
struct PutIdle {
  ConnectionId connection = 0;
  RequestId request = 0;               ///< who gave it back; 0: a dial nobody waited for
  std::optional<CloseReason> refused;  ///< why it is not kept; a Close follows
  RequestId handed_to = 0;             ///< the waiter that gets it at once; a Deliver follows
};
/// Close the connection; the pool has forgotten it.
struct Close {
  ConnectionId connection = 0;
  CloseReason reason = CloseReason::unknown;
  std::optional<MonoTime> idle;  ///< for how long it was idle, if it was
};
/// The request gets no connection because the dial that it waited for failed.
struct AcquireFailed {
  RequestId request = 0;
  ConnectionId connection = 0;  ///< the dial
};
using Action = std::variant<Dial, Deliver, Queued, Dequeued, PutIdle, Close, AcquireFailed>;
/// Filled by every input; the caller clears it.
using Actions = std::vector<Action>;

struct Snapshot {
  std::uint64_t idle = 0;
  std::uint64_t active = 0;
  std::uint64_t dialling = 0;
  std::uint64_t waiting = 0;  ///< behind a limit
  std::uint64_t dials = 0;    ///< since the start
  std::uint64_t closed = 0;   ///< since the start, failed dials included
  std::uint64_t reused = 0;   ///< deliveries of a connection that had carried a request
  [[nodiscard]] std::uint64_t open() const { return idle + active + dialling; }
  friend bool operator==(const Snapshot&, const Snapshot&) = default;
};

/// Which request gets which connection: Go's http.Transport pool as a pure state machine.
///
/// Most recently used idle connection first; waiters first in, first out; a request that dials takes whichever comes
/// first, a returned connection or its own dial; a dial nobody waits for is pooled or given to the next waiter; a
/// returning connection beyond max_idle_conns_per_host is closed; beyond max_idle_conns the least recently used of any
/// key is closed; a dial counts against max_conns_per_host from its beginning.
///
/// It has no sockets, threads, clock or callbacks: inputs say what happened and when, `out` gets what must be done.
///
/// Threading: none; one caller at a time.
/// Invariants: dials = closed + open; every Queued has one Dequeued; every acquire ends in one Deliver, AcquireFailed
///            or cancel(); connection numbers count from 1 and are never used again.
/// Units:     a `now` before the latest one counts as the latest one.
/// Errors:    preconditions are asserted; an id that the pool does not know (it was closed before) is ignored where a
///            race makes that possible: peer_closed, cancel, dialled, dial_failed.
/// Source:    net/http/transport.go getConn, queueForIdleConn, queueForDial, tryPutIdleConn, decConnsPerHost.
class PoolCore {
 public:
  explicit PoolCore(Limits limits);
  ~PoolCore();
  PoolCore(PoolCore&&) noexcept;
  PoolCore& operator=(PoolCore&&) noexcept;

  /// A request wants a connection. `request` must not be waiting already.
  void acquire(RequestId request, const Key& key, MonoTime now, Actions& out);
  /// The request is done with its connection. `unusable`: why it cannot be used again, or nothing if it can.
  void release(ConnectionId connection, std::optional<CloseReason> unusable, MonoTime now, Actions& out);
  void dialled(ConnectionId connection, MonoTime now, Actions& out);
  /// `out` gets AcquireFailed if somebody still waits for this dial. The owner closes what there is; no Close comes.
  void dial_failed(ConnectionId connection, MonoTime now, Actions& out);
  /// An idle connection ended (FIN, RST, unsolicited bytes) or must go. Active ones are release()d by their request
  /// instead, and ignored here.
  void peer_closed(ConnectionId connection, CloseReason reason, MonoTime now, Actions& out);
  /// The request wants no connection any more; its dial goes on. `outcome` is for its Dequeued, if it was queued.
  void cancel(RequestId request, QueueOutcome outcome, MonoTime now, Actions& out);
  /// Closes idle connections, those returned before the next acquire(), and dials that nobody waits for.
  void close_idle_connections(MonoTime now, Actions& out);
  /// Closes what was idle for idle_conn_timeout.
  void expire(MonoTime now, Actions& out);
  /// When expire() has something to do next.
  [[nodiscard]] std::optional<MonoTime> next_deadline() const;
  [[nodiscard]] Snapshot snapshot() const;

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace conntrace::pool
