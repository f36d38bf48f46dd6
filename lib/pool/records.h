// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string_view>
#include <unordered_map>

#include "pool/intrusive_list.h"
#include "pool/occupancy_log.h"
#include "pool/pool_core.h"
#include "pool/recent_closes.h"

namespace conntrace::pool {

struct Host;
struct Waiter;

enum class State : std::uint8_t { dialling, active, idle };

/// A connection from the beginning of its dial until it is closed. It holds a slot of its host all that time.
struct Connection {
  ConnectionId id = 0;
  Host* host = nullptr;
  State state = State::dialling;
  std::uint64_t served = 0;   ///< requests it was delivered to
  RequestId occupant = 0;     ///< the request that the slot works for; 0: none
  MonoTime occupied_since{};  ///< when that began
  MonoTime idle_since{};      ///< while idle
  Waiter* waiter = nullptr;   ///< while dialling: who began it and still waits
  ListHook<Connection> in_state;
  ListHook<Connection> in_lru;
};
using StateList = IntrusiveList<Connection, &Connection::in_state>;
using LruList = IntrusiveList<Connection, &Connection::in_lru>;

/// A request without a connection. It is in its host's idle_wait (unless connections are never kept) and has either a
/// dial of its own or a place in the queue.
struct Waiter {
  RequestId request = 0;
  Host* host = nullptr;
  Connection* dial = nullptr;
  MonoTime queued_at{};
  OccupancyLog::Mark queued_mark = 0;
  ListHook<Waiter> in_idle_wait;
  ListHook<Waiter> in_queue;
};

/// Which hosts have this authority. The views are of the hosts' own keys.
using AuthorityIndex = std::unordered_multimap<std::string_view, Host*>;

/// All that shares one Key.
///
/// Invariants: idle is ordered by idle_since; somebody in idle_wait means that idle is empty; somebody in the queue
///             means that open() equals max_conns_per_host.
struct Host {
  const Key* key = nullptr;  ///< the table's
  AuthorityIndex::iterator in_authority{};
  StateList dialling;
  StateList active;
  StateList idle;
  IntrusiveList<Waiter, &Waiter::in_idle_wait> idle_wait;  ///< for whichever connection comes first
  IntrusiveList<Waiter, &Waiter::in_queue> queue;          ///< for a slot
  OccupancyLog log;                                        ///< since the first in the queue came
  RecentCloses recent;
  ListHook<Host> in_unused;

  [[nodiscard]] std::size_t open() const { return dialling.size() + active.size() + idle.size(); }
  [[nodiscard]] bool unused() const { return open() == 0 && idle_wait.empty() && queue.empty(); }
  [[nodiscard]] StateList& list(State state) {
    return state == State::idle ? idle : state == State::active ? active : dialling;
  }
};

}  // namespace conntrace::pool
