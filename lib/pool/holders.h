// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <vector>

#include "pool/pool_core.h"
#include "pool/records.h"

namespace conntrace::pool {

struct Holders {
  std::vector<Slot> slots;
  double others_share = 0;
};

/// Who holds the host's slots now.
[[nodiscard]] std::vector<Slot> holders_now(const Host& host);
/// Who held them while `waiter` was queued, and for which part of that: each occupancy's overlap with the wait, divided
/// by limit × wait. A wait of no length is shared equally.
[[nodiscard]] Holders holders_during(const Waiter& waiter, std::size_t limit, MonoTime now);

}  // namespace conntrace::pool
