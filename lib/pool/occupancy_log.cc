// SPDX-License-Identifier: Apache-2.0
#include "pool/occupancy_log.h"

#include <algorithm>

namespace conntrace::pool {

void OccupancyLog::append(const Occupancy& ended) {
  if (entries_.size() == kCapacity) drop_shorter_half();
  entries_.push_back({next_++, ended});
  held_ns_ += static_cast<std::uint64_t>((ended.to - ended.from).count());
}

void OccupancyLog::drop_shorter_half() {
  const auto length = [](const Entry& entry) { return entry.occupancy.to - entry.occupancy.from; };
  const auto middle = entries_.begin() + kCapacity / 2;
  std::nth_element(entries_.begin(), middle, entries_.end(),
                   [&](const Entry& a, const Entry& b) { return length(a) > length(b); });
  for (auto dropped = middle; dropped != entries_.end(); ++dropped) {
    dropped_before_ = std::max(dropped_before_, dropped->order + 1);
  }
  entries_.erase(middle, entries_.end());
  std::sort(entries_.begin(), entries_.end(), [](const Entry& a, const Entry& b) { return a.order < b.order; });
}

void OccupancyLog::forget_before(Mark mark) {
  const auto keep =
      std::find_if(entries_.begin(), entries_.end(), [&](const Entry& entry) { return entry.order >= mark; });
  entries_.erase(entries_.begin(), keep);
}

std::span<const OccupancyLog::Entry> OccupancyLog::since(Mark mark) const {
  const auto first =
      std::lower_bound(entries_.begin(), entries_.end(), mark, [](const Entry& e, Mark m) { return e.order < m; });
  return {first, entries_.end()};
}

}  // namespace conntrace::pool
