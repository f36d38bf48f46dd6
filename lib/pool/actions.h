// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
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

/// A slot of a limit and who uses it. request 0: an idle connection, or a dial that nobody waits for. connection 0: the
/// request has the slot and waits behind another limit for its dial to begin.
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
  std::vector<Slot> holders;  ///< of 16 who hold theirs the longest; those that carry requests first
};
/// That wait is over. Comes before the Deliver or Dial that ends it.
struct Dequeued {
  RequestId request = 0;
  Limit limit = Limit::max_conns_per_host;
  QueueOutcome outcome = QueueOutcome::slot_freed;
  MonoTime waited{};
  RequestId released_by = 0;  ///< 0: nobody's release (cancelled, an idle connection died, …)
  std::vector<Slot> holders;  ///< the 16 with the largest shares, largest first
  double others_share = 0;    ///< of holders that are not listed; with it all sum to 1
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
/// The request gets no connection because max_queue requests to its key wait already. It was not queued.
struct Refused {
  RequestId request = 0;
  std::uint64_t limit_value = 0;
};
/// The request gets no connection because the dial that it waited for failed.
struct AcquireFailed {
  RequestId request = 0;
  ConnectionId connection = 0;  ///< the dial
};
using Action = std::variant<Dial, Deliver, Queued, Dequeued, PutIdle, Close, Refused, AcquireFailed>;
/// Filled by every input; the caller clears it.
using Actions = std::vector<Action>;

}  // namespace conntrace::pool
