// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string_view>
#include <unordered_map>

#include "pool/gate.h"
#include "pool/held_list.h"
#include "pool/intrusive_list.h"
#include "pool/pool_core.h"
#include "pool/recent_closes.h"

namespace conntrace::pool {

enum class State : std::uint8_t { dialling, active, idle };

/// A connection from the beginning of its dial until it is closed. It holds a slot of its host all that time.
struct Connection {
  ConnectionId id = 0;
  Host* host = nullptr;
  State state = State::dialling;
  std::uint64_t served = 0;                 ///< requests it was delivered to
  std::uint64_t serves_at_most = 0;         ///< by our limit, or the server's
  RequestId occupant = 0;                   ///< the request that the slot works for; 0: none
  MonoTime occupied_since{};                ///< when that began
  MonoTime idle_since{};                    ///< while idle
  MonoTime idle_until{};                    ///< while idle: the first of the limits below
  MonoTime lives_until{};                   ///< by max_conn_lifetime; MonoTime::max(): no limit
  MonoTime server_keeps = MonoTime::max();  ///< how long it may be idle by the server's word
  MonoTime deadline{};                      ///< its place in Deadlines: idle_until or earlier
  std::size_t deadline_place = 0;           ///< from 1; 0: not there
  Waiter* waiter = nullptr;                 ///< while dialling: who began it and still waits
  ListHook<Connection> in_state;            ///< of its host
  ListHook<Connection> in_all;              ///< of all hosts, while dialling or idle
  ListHook<Connection> in_host;             ///< its host's slots
  ListHook<Connection> in_pool;             ///< all slots
};
using StateList = IntrusiveList<Connection, &Connection::in_state>;

/// Which hosts have this authority. The views are of the hosts' own keys.
using AuthorityIndex = std::unordered_multimap<std::string_view, Host*>;

/// All that shares one Key.
///
/// Invariants: idle is ordered by idle_since; somebody in idle_wait means that idle is empty; somebody in the gate's
///             queue means that slots() equals max_conns.
struct Host {
  // What reuse touches comes first, to be in few cache lines.
  Key key;
  ListHook<Host> in_unused;
  StateList idle;
  StateList active;
  HeldList<Connection, &Connection::in_host, &Connection::occupied_since> held;  ///< slots that are connections
  KeyLimits limits;
  IntrusiveList<Waiter, &Waiter::in_idle_wait> idle_wait;  ///< for whichever connection comes first
  StateList dialling;
  HeldList<Waiter, &Waiter::in_reserved, &Waiter::host_slot_since> reserved;  ///< of who waits behind another limit
  Gate gate;                                                                  ///< max_conns
  std::size_t queued = 0;                                                     ///< its waiters in any queue
  RecentCloses recent;
  ListHook<Host> in_changed;
  AuthorityIndex::iterator in_authority{};
  std::uint64_t hash = 0;  ///< of the key

  [[nodiscard]] std::size_t open() const { return held.size(); }
  [[nodiscard]] std::size_t slots() const { return open() + reserved.size(); }
  [[nodiscard]] bool full() const { return gate.size != 0 && slots() >= gate.size; }
  [[nodiscard]] bool unused() const { return open() == 0 && idle_wait.empty() && queued == 0; }
  [[nodiscard]] StateList& list(State state) {
    return state == State::idle ? idle : state == State::active ? active : dialling;
  }
};

}  // namespace conntrace::pool
