// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "pool/actions.h"
#include "pool/limits.h"

namespace conntrace::pool {

inline constexpr std::size_t kCloseReasons = Names<CloseReason>::list.size();

struct Snapshot {
  std::uint64_t idle = 0;
  std::uint64_t active = 0;
  std::uint64_t dialling = 0;
  std::uint64_t waiting = 0;       ///< behind a limit
  std::uint64_t dials = 0;         ///< since the start, as all that follow
  std::uint64_t closed = 0;        ///< failed dials included; the sum of closed_by
  std::uint64_t reused = 0;        ///< deliveries of a connection that had carried a request
  std::uint64_t queue_enters = 0;  ///< Queued
  std::uint64_t queue_leaves = 0;  ///< Dequeued
  std::uint64_t refused = 0;       ///< Refused
  std::array<std::uint64_t, kCloseReasons> closed_by{};
  [[nodiscard]] std::uint64_t open() const { return idle + active + dialling; }
  friend bool operator==(const Snapshot&, const Snapshot&) = default;
};

/// The same of one key.
struct KeySnapshot {
  Key key;
  std::uint64_t idle = 0;
  std::uint64_t active = 0;
  std::uint64_t dialling = 0;
  std::uint64_t waiting = 0;
};

/// Whether somebody wants to know who holds the slots that a request waits for. To find out costs time that grows with
/// the slots; without it Queued and Dequeued have no holders.
enum class Explain : bool { no, yes };

/// Which request gets which connection: Go's http.Transport pool as a pure state machine, with further limits.
///
/// Most recently used idle connection first (or least, by choice); waiters first in, first out; a request that dials
/// takes whichever comes first, a returned connection or its own dial; a dial nobody waits for is pooled or given to
/// the next waiter; a returning connection beyond max_idle_conns_per_host is closed; beyond max_idle_conns the least
/// recently used of any key is closed; a dial counts against max_conns_per_host from its beginning.
///
/// Before it dials, a request needs in turn: a slot of its key, one of max_total_conns (for which the least recently
/// used idle connection of another key is closed), descriptors, one of max_concurrent_dials. It keeps what it has while
/// it waits for the next, in one queue at a time; whichever queue it is in, a connection of its key that comes first
/// ends the wait. While somebody waits for max_total_conns or for descriptors, no connection is kept idle.
///
/// It has no sockets, threads, clock or callbacks: inputs say what happened and when, `out` gets what must be done.
///
/// Threading: none; one caller at a time.
/// Invariants: dials = closed + open; queue_enters = queue_leaves + waiting; every Queued has one Dequeued; every
///            acquire ends in one Deliver, Refused, AcquireFailed or cancel(); connection numbers count from 1 and are
///            never used again.
/// Units:     a `now` before the latest one counts as the latest one.
/// Errors:    preconditions are asserted; an id that the pool does not know (it was closed before) is ignored where a
///            race makes that possible: peer_closed, cancel, dialled, dial_failed, no_descriptor.
/// Source:    net/http/transport.go getConn, queueForIdleConn, queueForDial, tryPutIdleConn, decConnsPerHost.
class PoolCore {
 public:
  explicit PoolCore(Limits limits);
  ~PoolCore();
  PoolCore(PoolCore&&) noexcept;
  PoolCore& operator=(PoolCore&&) noexcept;

  /// A request wants a connection. `request` must not be waiting already.
  void acquire(RequestId request, const Key& key, MonoTime now, Actions& out, Explain explain = Explain::yes);
  /// The request is done with its connection. `unusable`: why it cannot be used again, or nothing if it can.
  void release(ConnectionId connection, std::optional<CloseReason> unusable, MonoTime now, Actions& out,
               const KeepAlive& said = {});
  /// A Deliver could not be carried out: its request is gone, or the connection is dead. As release(), but as if it had
  /// not been delivered: it served nobody.
  void take_back(ConnectionId connection, std::optional<CloseReason> unusable, MonoTime now, Actions& out);
  void dialled(ConnectionId connection, MonoTime now, Actions& out);
  /// `out` gets AcquireFailed if somebody still waits for this dial. The owner closes what there is; no Close comes.
  void dial_failed(ConnectionId connection, MonoTime now, Actions& out);
  /// Like dial_failed(), but the dial ended because the process has no descriptor for it, which the request can
  /// outlive: a few idle connections are closed and another dial begins, with a number of its own and the first one's
  /// why; or the request waits (Limit::fd_limit) until a connection is closed, trying again every kDescriptorRetry
  /// besides, since others in the process have descriptors, too.
  void no_descriptor(ConnectionId connection, MonoTime now, Actions& out);
  /// An idle connection ended (FIN, RST, unsolicited bytes) or must go. Active ones are release()d by their request
  /// instead, and ignored here.
  void peer_closed(ConnectionId connection, CloseReason reason, MonoTime now, Actions& out);
  /// The request wants no connection any more; its dial goes on. `outcome` is for its Dequeued, if it was queued.
  void cancel(RequestId request, QueueOutcome outcome, MonoTime now, Actions& out);
  /// Closes idle connections, those returned before the next acquire(), and dials that nobody waits for.
  void close_idle_connections(MonoTime now, Actions& out);
  /// Does what is due: closes idle connections whose time is over, tries for descriptors again.
  void expire(MonoTime now, Actions& out);
  /// No expire() before this has anything to do. One at this time may still find nothing: a connection that was used
  /// meanwhile has a later time, which is looked up only then.
  [[nodiscard]] std::optional<MonoTime> next_deadline() const;
  [[nodiscard]] Snapshot snapshot() const;
  /// Every key with connections or waiters, in no order. Cost: grows with them.
  [[nodiscard]] std::vector<KeySnapshot> keys() const;

  static constexpr MonoTime kDescriptorRetry = std::chrono::milliseconds(100);
  static constexpr std::size_t kMostEvictedForDescriptors = 2;  ///< at one time; Happy Eyeballs needs two

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace conntrace::pool
