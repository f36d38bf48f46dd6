// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "conntrace/clock.h"
#include "conntrace/ids.h"

namespace conntrace::pool {

/// A slot worked for this request, through this connection, from then till then.
struct Occupancy {
  RequestId request = 0;
  ConnectionId connection = 0;
  MonoTime from{};
  MonoTime to{};
};

/// Occupancies of one limit's slots that ended while somebody waited for a slot, in the order of their ends.
///
/// It is bounded: when it is full, the shorter half is dropped, so that who explains most of a long wait stays known.
class OccupancyLog {
 public:
  /// A moment: later than all that was appended before it.
  using Mark = std::uint64_t;
  static constexpr std::size_t kCapacity = 128;
  struct Entry {
    Mark order = 0;
    Occupancy occupancy;
  };

  [[nodiscard]] Mark mark() const { return next_; }
  void append(const Occupancy& ended);
  /// Forgets what ended before.
  void forget_before(Mark mark);
  void clear();
  /// What ended since; valid until the next change.
  [[nodiscard]] std::span<const Entry> since(Mark mark) const;
  /// Calls visit(occupancy) for what ended since, the longest first, until it returns false.
  template <class Visit>
  void each_longest(Mark mark, Visit visit) const {
    for (const std::uint8_t index : longest_) {
      const Entry& entry = entries_[index];
      if (entry.order >= mark && !visit(entry.occupancy)) return;
    }
  }
  /// How long the longest of all lasted.
  [[nodiscard]] MonoTime longest() const {
    if (longest_.empty()) return MonoTime::zero();
    const Occupancy& first = entries_[longest_.front()].occupancy;
    return first.to - first.from;
  }
  /// How long all that was ever appended lasted, in nanoseconds modulo 2^64: differences of it are exact.
  [[nodiscard]] std::uint64_t held_ns() const { return held_ns_; }
  /// Whether since() has all there was.
  [[nodiscard]] bool complete_since(Mark mark) const { return mark >= dropped_before_; }

 private:
  void drop_shorter_half();
  void drop_forgotten();

  std::vector<Entry> entries_;
  std::size_t forgotten_ = 0;          ///< so many of the first
  std::vector<std::uint8_t> longest_;  ///< the places of the others, the longest first
  Mark next_ = 0;
  std::uint64_t held_ns_ = 0;
  Mark dropped_before_ = 0;  ///< nothing at or after this mark was dropped
};

}  // namespace conntrace::pool
