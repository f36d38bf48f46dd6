// SPDX-License-Identifier: Apache-2.0
#include "pool/holders.h"

#include <algorithm>

namespace conntrace::pool {

void LargestHolders::add(RequestId request, ConnectionId connection, MonoTime held) {
  std::size_t place = size_;
  if (note(request, connection)) {
    const auto same = [&](const Entry& e) { return e.request == request && e.connection == connection; };
    place = static_cast<std::size_t>(std::find_if(entries_.begin(), entries_.begin() + size_, same) - entries_.begin());
  }
  if (place < size_) {
    held += entries_[place].held;
  } else if (size_ < kMostHolders) {
    ++size_;
  } else {
    if (passes_over(held)) return;
    left_out_ = true;
    --place;
  }
  const Entry entry{held, request, connection};
  for (; place > 0 && before(entry, entries_[place - 1]); --place) entries_[place] = entries_[place - 1];
  entries_[place] = entry;
}

Holders LargestHolders::shares_of(double whole_ns) const {
  Holders result;
  result.slots = std::vector<Slot>(size_);
  double listed = 0;
  for (std::size_t i = 0; i < size_; ++i) {
    const Entry& entry = entries_[i];
    const double share = static_cast<double>(entry.held.count()) / whole_ns;
    result.slots[i] = {entry.request, entry.connection, share};
    listed += share;
  }
  if (left_out_ || size_ == 0) result.others_share = std::max(0.0, 1.0 - listed);
  return result;
}

}  // namespace conntrace::pool
