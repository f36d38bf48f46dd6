// SPDX-License-Identifier: Apache-2.0
#include "pool/holders.h"

#include <algorithm>
#include <bit>
#include <utility>

namespace conntrace::pool {
namespace {

/// Adds up the shares of each request with each connection: one may have the same twice during a long wait (a retry),
/// or be between two dials twice.
class Sum {
 public:
  explicit Sum(std::size_t most) : places_(std::bit_ceil(2 * most + 1)) { slots_.reserve(most); }

  void add(const Occupancy& held, double share) {
    std::size_t at = (held.connection * 0x9e3779b97f4a7c15 + held.request) & (places_.size() - 1);
    while (places_[at] != 0) {
      Slot& slot = slots_[places_[at] - 1];
      if (slot.connection == held.connection && slot.request == held.request) {
        slot.share += share;
        return;
      }
      at = (at + 1) & (places_.size() - 1);
    }
    slots_.push_back({held.request, held.connection, share});
    places_[at] = static_cast<std::uint32_t>(slots_.size());
  }

  [[nodiscard]] std::vector<Slot> largest() && {
    const auto larger = [](const Slot& a, const Slot& b) {
      return a.share != b.share             ? a.share > b.share
             : a.connection != b.connection ? a.connection < b.connection
                                            : a.request < b.request;
    };
    const std::size_t kept = std::min(slots_.size(), kMostHolders);
    std::partial_sort(slots_.begin(), slots_.begin() + static_cast<std::ptrdiff_t>(kept), slots_.end(), larger);
    slots_.resize(kept);
    return std::move(slots_);
  }
  [[nodiscard]] std::size_t size() const { return slots_.size(); }

 private:
  std::vector<Slot> slots_;
  std::vector<std::uint32_t> places_;  ///< open addressing: index in slots_ and 1, or 0
};

}  // namespace

std::uint64_t held_ns(const OccupancyLog& log, std::span<const Occupancy> held) {
  std::uint64_t sum = log.held_ns();
  for (const Occupancy& o : held) sum += static_cast<std::uint64_t>((o.to - o.from).count());
  return sum;
}

std::vector<Slot> holders_now(std::span<const Occupancy> held) {
  std::vector<Slot> slots;
  const std::size_t count = std::min(held.size(), kMostHolders);
  slots.reserve(count);
  for (const Occupancy& o : held.first(count)) slots.push_back({o.request, o.connection, 0});
  return slots;
}

Holders holders_during(const Waiter& waiter, const OccupancyLog& log, std::span<const Occupancy> held, MonoTime now) {
  const auto ended = log.since(waiter.queued_mark);
  const std::size_t count = ended.size() + held.size();
  const bool no_length = now == waiter.queued_at;
  const auto whole = static_cast<double>(held_ns(log, held) - waiter.held_before);
  Sum sum(count);
  const auto add = [&](const Occupancy& o) {
    const MonoTime overlap = o.to - std::max(o.from, waiter.queued_at);
    if (no_length) {
      sum.add(o, 1.0 / static_cast<double>(count));
    } else if (overlap.count() > 0) {
      sum.add(o, static_cast<double>(overlap.count()) / whole);
    }
  };
  for (const auto& entry : ended) add(entry.occupancy);
  for (const Occupancy& o : held) add(o);
  const bool all = sum.size() <= kMostHolders && sum.size() > 0 && log.complete_since(waiter.queued_mark);
  Holders result{std::move(sum).largest(), 0};
  if (!all) {
    double listed = 0;
    for (const Slot& slot : result.slots) listed += slot.share;
    result.others_share = std::max(0.0, 1.0 - listed);
  }
  return result;
}

}  // namespace conntrace::pool
