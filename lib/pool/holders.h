// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <span>
#include <vector>

#include "pool/gate.h"

namespace conntrace::pool {

/// The most that are listed: more would not fit into a record.
inline constexpr std::size_t kMostHolders = 16;

struct Holders {
  std::vector<Slot> slots;
  double others_share = 0;
};

// `held` are the slots of a gate that are held now: since when, until now.

/// For how long slots of the gate were held, in all and up to now; nanoseconds modulo 2^64.
[[nodiscard]] std::uint64_t held_ns(const OccupancyLog& log, std::span<const Occupancy> held);
/// The first of them.
[[nodiscard]] std::vector<Slot> holders_now(std::span<const Occupancy> held);
/// Who held slots while `waiter` was queued, the largest: each one's time within the wait, divided by that of all. A
/// wait of no length is shared equally; one in which nobody held anything (descriptors that others have) is
/// others_share.
[[nodiscard]] Holders holders_during(const Waiter& waiter, const OccupancyLog& log, std::span<const Occupancy> held,
                                     MonoTime now);

}  // namespace conntrace::pool
