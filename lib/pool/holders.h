// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "pool/actions.h"

namespace conntrace::pool {

/// The most that are listed: more would not fit into a record.
inline constexpr std::size_t kMostHolders = 16;

struct Holders {
  std::vector<Slot> slots;
  double others_share = 0;
};

/// Finds those who held slots for the longest part of a wait, of candidates that come the longest first or nearly so:
/// then it has to look at few more than it lists.
class LargestHolders {
 public:
  /// Whether somebody who held a slot no longer than this is not listed, nor are others who did. If so, that is noted.
  [[nodiscard]] bool passes_over(MonoTime held) {
    if (size_ < kMostHolders || held > entries_[size_ - 1].held) return false;
    left_out_ = true;
    return true;
  }
  /// One may come twice in a long wait (a retry with the same connection): the times add up.
  void add(RequestId request, ConnectionId connection, MonoTime held);
  /// There are others, of whom not all are known.
  void leave_out() { left_out_ = true; }
  /// Shares of what all held together, which may be nothing (descriptors that others have): then all is others_share.
  [[nodiscard]] Holders shares_of(double whole_ns) const;

 private:
  struct Entry {
    MonoTime held;
    RequestId request;
    ConnectionId connection;
  };
  static bool before(const Entry& a, const Entry& b) {
    if (a.held != b.held) return a.held > b.held;
    return a.connection != b.connection ? a.connection < b.connection : a.request < b.request;
  }
  /// Whether such an entry may have come before; nearly all that come are new.
  [[nodiscard]] bool note(RequestId request, ConnectionId connection) {
    const std::uint64_t hash = ((connection * 0x9e3779b97f4a7c15) ^ request) * 0x9e3779b97f4a7c15;
    std::uint64_t& word = seen_[hash >> 62];
    const std::uint64_t bit = std::uint64_t{1} << ((hash >> 56) & 63);
    const bool seen = (word & bit) != 0;
    word |= bit;
    return seen;
  }

  std::array<Entry, kMostHolders> entries_;  ///< the longest first
  std::size_t size_ = 0;
  std::array<std::uint64_t, 4> seen_{};  ///< a bit for each hash that came
  bool left_out_ = false;
};

}  // namespace conntrace::pool
