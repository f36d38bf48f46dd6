// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

namespace conntrace {

/// Lines on their way from a thread that must not wait to one that may: bounded, whole lines only, and every loss is
/// counted at the place in the stream where it happened.
///
/// Threading: none of its own; the owner guards it.
class LineQueue {
 public:
  struct Batch {
    std::uint64_t lost_before = 0;  ///< records dropped between the batch before and this one
    std::string lines;
    std::uint64_t records = 0;  ///< in `lines`
  };

  /// `limit`: bytes, those that were taken and are not done() included.
  explicit LineQueue(std::size_t limit) : limit_(limit) {}

  /// False: there was no room, the records are dropped. After a drop all is dropped until the next take(), so that one
  /// number says what is missing.
  bool push(std::string_view lines, std::uint64_t records) {
    return push(lines, records, filling_.lines.size() + taken_bytes_ + lines.size() <= limit_);
  }
  /// Beyond the limit, too; of what is bounded by itself.
  bool push_surely(std::string_view lines, std::uint64_t records) { return push(lines, records, true); }

  /// Whether take(), or the one after it, would give lines or a loss.
  [[nodiscard]] bool pending() const { return !filling_.lines.empty() || filling_.lost_before > 0 || dropped_ > 0; }
  /// Bytes that wait for take().
  [[nodiscard]] std::size_t waiting() const { return filling_.lines.size(); }

  /// Exchanges memory with `into`, so that neither side allocates for long.
  void take(Batch& into) {
    into = {.lines = std::move(into.lines)};
    into.lines.clear();
    std::swap(into, filling_);
    filling_.lost_before = std::exchange(dropped_, 0);
    taken_bytes_ = into.lines.size();
  }
  /// What was taken is written: its room is free.
  void done() { taken_bytes_ = 0; }

  /// Records dropped so far.
  [[nodiscard]] std::uint64_t lost() const { return lost_; }

 private:
  bool push(std::string_view lines, std::uint64_t records, bool room) {
    if (dropped_ > 0 || !room) {
      dropped_ += records;
      lost_ += records;
      return false;
    }
    filling_.lines += lines;
    filling_.records += records;
    return true;
  }

  std::size_t limit_;
  Batch filling_;
  std::size_t taken_bytes_ = 0;
  std::uint64_t dropped_ = 0;
  std::uint64_t lost_ = 0;
};

}  // namespace conntrace
