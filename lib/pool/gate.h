// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "pool/intrusive_list.h"
#include "pool/occupancy_log.h"
#include "pool/pool_core.h"

namespace conntrace::pool {

struct Host;
struct Connection;
struct Gate;

/// A request without a connection. It is in its host's idle_wait (unless connections are never kept), and either has a
/// dial of its own or is in one gate's queue.
struct Waiter {
  RequestId request = 0;
  Host* host = nullptr;
  Connection* dial = nullptr;
  bool explain = true;    ///< holders are wanted
  bool admitted = false;  ///< it was queued or dialled before: max_queue does not refuse it any more
  // While queued.
  Gate* gate = nullptr;
  MonoTime queued_at{};
  OccupancyLog::Mark queued_mark = 0;
  std::uint64_t held_before = 0;  ///< held_ns of its gate when the wait began
  // While it has slots that no dial of it uses yet.
  MonoTime host_slot_since{};   ///< while in_reserved
  MonoTime total_slot_since{};  ///< while in_total_reserved
  // Of its first dial, for one that it has to repeat.
  std::optional<WhyNew> why;
  std::vector<Rejected> candidates;
  ListHook<Waiter> in_idle_wait;
  ListHook<Waiter> in_queue;
  ListHook<Waiter> in_reserved;
  ListHook<Waiter> in_total_reserved;
};

/// A limit, and who waits for a slot of it.
///
/// Invariants: between inputs, somebody in the queue means that all slots are held.
struct Gate {
  Limit limit = Limit::max_conns_per_host;
  std::size_t size = 0;                            ///< 0: no limit
  IntrusiveList<Waiter, &Waiter::in_queue> queue;  ///< first in, first out
  OccupancyLog log;                                ///< since the first in the queue whose holders are wanted came
  std::size_t explained = 0;                       ///< of those
};

}  // namespace conntrace::pool
