// SPDX-License-Identifier: Apache-2.0
// Who explains a wait. Nothing here looks at more slots or at more of the past than it takes to find the longest few.
#include "pool/pool_impl.h"

namespace conntrace::pool {
namespace {

struct Holder {
  RequestId request;
  ConnectionId connection;
  MonoTime since;
  State state;
};

}  // namespace

// Those who hold slots of the gate now are in one list or two.
template <class Visit>
void PoolCore::Impl::each_list_of(const Gate& gate, const Host& host, Visit visit) const {
  const auto connection = [](const Connection& c) { return Holder{c.occupant, c.id, c.occupied_since, c.state}; };
  if (&gate == &host.gate) {
    visit(host.held, connection);
    visit(host.reserved, [](const Waiter& w) { return Holder{w.request, 0, w.host_slot_since, State::active}; });
  } else if (&gate == &dials_) {
    visit(dialling_, connection);
  } else {
    visit(held_, connection);
    if (&gate == &total_) {
      visit(reserved_, [](const Waiter& w) { return Holder{w.request, 0, w.total_slot_since, State::active}; });
    }
  }
}

// For how long slots of the gate were held, in all and up to now, modulo 2^64.
std::uint64_t PoolCore::Impl::held_ns(const Gate& gate, const Host& host) const {
  std::uint64_t sum = gate.log.held_ns();
  each_list_of(gate, host, [&](const auto& list, const auto&) { sum += list.held_ns(now_); });
  return sum;
}

// Of those that began first: what carries requests, then the others.
std::vector<Slot> PoolCore::Impl::holders_now(const Gate& gate, const Host& host) const {
  std::size_t all = 0;
  each_list_of(gate, host, [&](const auto& list, const auto&) { all = std::min(all + list.size(), kMostHolders); });
  std::vector<Slot> slots(all);
  std::size_t count = 0;
  each_list_of(gate, host, [&](const auto& list, const auto& as_holder) {
    const std::size_t before = count;
    const std::size_t most = std::min(before + list.size(), all);
    for (const State state : {State::active, State::dialling, State::idle}) {
      auto record = list.begin();
      for (std::size_t i = before; i < most && count < most; ++i, ++record) {
        const Holder holder = as_holder(*record);
        if (holder.state == state) slots[count++] = {holder.request, holder.connection, 0};
      }
    }
  });
  return slots;
}

// Who held slots while `waiter` was queued: each one's time within the wait, divided by that of all. A wait of no
// length is shared equally.
Holders PoolCore::Impl::holders_during(const Waiter& waiter, const Gate& gate) const {
  const Host& host = *waiter.host;
  const bool no_length = now_ == waiter.queued_at;
  const auto within = [&](MonoTime from, MonoTime to) {
    return no_length ? MonoTime(1) : to - std::max(from, waiter.queued_at);
  };
  std::uint64_t whole = held_ns(gate, host) - waiter.held_before;
  if (no_length) whole = gate.log.since(waiter.queued_mark).size();
  LargestHolders largest;
  const auto add_ended = [&] {
    gate.log.each_longest(waiter.queued_mark, [&](const Occupancy& ended) {
      if (largest.passes_over(no_length ? MonoTime(1) : ended.to - ended.from)) return false;
      const MonoTime held = within(ended.from, ended.to);
      if (held > MonoTime::zero() && !largest.passes_over(held)) largest.add(ended.request, ended.connection, held);
      return true;
    });
  };
  const bool long_wait = gate.log.longest() < now_ - waiter.queued_at;
  if (long_wait) add_ended();
  each_list_of(gate, host, [&](const auto& list, const auto& as_holder) {
    if (no_length) whole += list.size();
    for (const auto& record : list) {
      const Holder holder = as_holder(record);
      const MonoTime held = within(holder.since, now_);
      if (held == MonoTime::zero() || largest.passes_over(held)) return;
      largest.add(holder.request, holder.connection, held);
    }
  });
  if (!long_wait) add_ended();
  if (!gate.log.complete_since(waiter.queued_mark)) largest.leave_out();
  return largest.shares_of(static_cast<double>(whole));
}

}  // namespace conntrace::pool
