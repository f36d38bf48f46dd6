// SPDX-License-Identifier: Apache-2.0
// Who holds which slot, and since when.
#include <utility>

#include "pool/pool_impl.h"

namespace conntrace::pool {

std::uint64_t& PoolCore::Impl::count_of(State state) {
  return state == State::idle ? counts_.idle : state == State::active ? counts_.active : counts_.dialling;
}

void PoolCore::Impl::link(Connection& connection, State state) {
  connection.state = state;
  connection.host->list(state).push_back(connection);
  if (state == State::idle) idle_.push_back(connection);
  if (state == State::dialling) dialling_.push_back(connection);
  ++count_of(state);
}

void PoolCore::Impl::unlink(Connection& connection) {
  connection.host->list(connection.state).erase(connection);
  if (connection.state == State::idle) idle_.erase(connection);
  if (connection.state == State::dialling) {
    log_dial(connection);
    dialling_.erase(connection);
  }
  --count_of(connection.state);
}

void PoolCore::Impl::occupy(Connection& connection, RequestId request) {
  if (connection.occupant == request) return;
  log_occupancy(connection);
  if (connection.state == State::dialling) log_dial(connection);
  const MonoTime before = std::exchange(connection.occupied_since, now_);
  connection.occupant = request;
  connection.host->held.renewed(connection, before);
  held_.renewed(connection, before);
  if (connection.state == State::dialling) dialling_.renewed(connection, before);
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
  if (!waiter.in_reserved.linked()) {
    waiter.host_slot_since = now_;
    host.reserved.push_back(waiter);
  }
  if (&gate != &total_ && !waiter.in_total_reserved.linked()) {
    waiter.total_slot_since = now_;
    reserved_.push_back(waiter);
  }
}

void PoolCore::Impl::unreserve(Waiter& waiter) {
  Host& host = *waiter.host;
  if (waiter.in_reserved.linked()) {
    host.reserved.erase(waiter);
    if (host.gate.explained != 0) host.gate.log.append({waiter.request, 0, waiter.host_slot_since, now_});
  }
  if (waiter.in_total_reserved.linked()) {
    reserved_.erase(waiter);
    if (total_.explained != 0) total_.log.append({waiter.request, 0, waiter.total_slot_since, now_});
  }
}

}  // namespace conntrace::pool
