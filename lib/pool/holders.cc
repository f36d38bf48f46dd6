// SPDX-License-Identifier: Apache-2.0
#include "pool/holders.h"

#include <algorithm>

namespace conntrace::pool {
namespace {

/// A request may have the same connection twice during a long wait (a retry), or be between two dials twice.
void merge_same(std::vector<Slot>& slots) {
  std::sort(slots.begin(), slots.end(), [](const Slot& a, const Slot& b) {
    return a.connection != b.connection ? a.connection < b.connection : a.request < b.request;
  });
  std::size_t kept = 0;
  for (std::size_t i = 1; i < slots.size(); ++i) {
    if (slots[i].connection == slots[kept].connection && slots[i].request == slots[kept].request) {
      slots[kept].share += slots[i].share;
    } else {
      slots[++kept] = slots[i];
    }
  }
  if (!slots.empty()) slots.resize(kept + 1);
}

}  // namespace

std::uint64_t held_ns(const OccupancyLog& log, std::span<const Occupancy> held) {
  std::uint64_t sum = log.held_ns();
  for (const Occupancy& o : held) sum += static_cast<std::uint64_t>((o.to - o.from).count());
  return sum;
}

std::vector<Slot> holders_now(std::span<const Occupancy> held) {
  std::vector<Slot> slots;
  slots.reserve(held.size());
  for (const Occupancy& o : held) slots.push_back({o.request, o.connection, 0});
  return slots;
}

Holders holders_during(const Waiter& waiter, const OccupancyLog& log, std::span<const Occupancy> held, MonoTime now) {
  const auto ended = log.since(waiter.queued_mark);
  const std::size_t count = ended.size() + held.size();
  const bool no_length = now == waiter.queued_at;
  const auto whole = static_cast<double>(held_ns(log, held) - waiter.held_before);
  Holders result;
  result.slots.reserve(count);
  const auto add = [&](const Occupancy& o) {
    const MonoTime overlap = o.to - std::max(o.from, waiter.queued_at);
    if (no_length) {
      result.slots.push_back({o.request, o.connection, 1.0 / static_cast<double>(count)});
    } else if (overlap.count() > 0) {
      result.slots.push_back({o.request, o.connection, static_cast<double>(overlap.count()) / whole});
    }
  };
  for (const auto& entry : ended) add(entry.occupancy);
  for (const Occupancy& o : held) add(o);
  merge_same(result.slots);
  std::sort(result.slots.begin(), result.slots.end(), [](const Slot& a, const Slot& b) {
    return a.share != b.share             ? a.share > b.share
           : a.connection != b.connection ? a.connection < b.connection
                                          : a.request < b.request;
  });
  if (result.slots.empty()) {
    result.others_share = 1;
  } else if (!log.complete_since(waiter.queued_mark)) {
    double listed = 0;
    for (const Slot& slot : result.slots) listed += slot.share;
    result.others_share = std::max(0.0, 1.0 - listed);
  }
  return result;
}

}  // namespace conntrace::pool
