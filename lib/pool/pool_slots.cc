// SPDX-License-Identifier: Apache-2.0
// Who holds which slot, and since when.
#include "pool/pool_impl.h"

namespace conntrace::pool {

std::uint64_t& PoolCore::Impl::count_of(State state) {
  return state == State::idle ? counts_.idle : state == State::active ? counts_.active : counts_.dialling;
}

void PoolCore::Impl::link(Connection& connection, State state) {
  connection.state = state;
  connection.host->list(state).push_back(connection);
  all(state).push_back(connection);
  ++count_of(state);
}

void PoolCore::Impl::unlink(Connection& connection) {
  if (connection.state == State::dialling) log_dial(connection);
  connection.host->list(connection.state).erase(connection);
  all(connection.state).erase(connection);
  --count_of(connection.state);
}

void PoolCore::Impl::occupy(Connection& connection, RequestId request) {
  if (connection.occupant == request) return;
  log_occupancy(connection);
  if (connection.state == State::dialling) log_dial(connection);
  connection.occupant = request;
  connection.occupied_since = now_;
}

void PoolCore::Impl::log_occupancy(const Connection& connection) {
  if (counts_.waiting == 0) return;
  const Occupancy ended{connection.occupant, connection.id, connection.occupied_since, now_};
  Gate& own = connection.host->gate;
  if (own.explained != 0) own.log.append(ended);
  if (total_.explained != 0) total_.log.append(ended);
  if (descriptors_.explained != 0) descriptors_.log.append(ended);
}

void PoolCore::Impl::log_dial(const Connection& connection) {
  if (dials_.explained == 0) return;
  dials_.log.append({connection.occupant, connection.id, connection.occupied_since, now_});
}

// Behind a later limit it has the slots of the earlier ones.
void PoolCore::Impl::reserve(Waiter& waiter, const Gate& gate) {
  Host& host = *waiter.host;
  if (&gate == &host.gate) return;
  if (!waiter.in_reserved.linked) {
    host.reserved.push_back(waiter);
    waiter.host_slot_since = now_;
  }
  if (&gate != &total_ && !waiter.total_slot_since) waiter.total_slot_since = now_;
}

void PoolCore::Impl::unreserve(Waiter& waiter) {
  Host& host = *waiter.host;
  if (waiter.in_reserved.linked) {
    host.reserved.erase(waiter);
    if (host.gate.explained != 0) host.gate.log.append({waiter.request, 0, waiter.host_slot_since, now_});
  }
  if (waiter.total_slot_since) {
    if (total_.explained != 0) total_.log.append({waiter.request, 0, *waiter.total_slot_since, now_});
    waiter.total_slot_since.reset();
  }
}

std::vector<Occupancy> PoolCore::Impl::held_slots(const Gate& gate, const Host& host) const {
  std::vector<Occupancy> held;
  const auto add = [&](const auto& connections) {
    for (const Connection& c : connections) held.push_back({c.occupant, c.id, c.occupied_since, now_});
  };
  if (&gate == &host.gate) {
    held.reserve(host.slots());
    add(host.active);
    add(host.dialling);
    add(host.idle);
    for (const Waiter& waiter : host.reserved) held.push_back({waiter.request, 0, waiter.host_slot_since, now_});
    return held;
  }
  if (&gate == &dials_) {
    add(all(State::dialling));
    return held;
  }
  held.reserve(counts_.open());
  add(all(State::active));
  add(all(State::dialling));
  add(all(State::idle));
  if (&gate == &total_) {
    for (const Gate* later : {&descriptors_, &dials_}) {
      for (const Waiter& waiter : later->queue) held.push_back({waiter.request, 0, *waiter.total_slot_since, now_});
    }
  }
  return held;
}

}  // namespace conntrace::pool
