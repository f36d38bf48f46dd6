// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <queue>
#include <vector>

#include "conntrace/event.h"

namespace conntrace::cli {

/// Sorts records that arrive a little out of order.
///
/// Ties are ordered by what the records say, not by arrival, so that any order of arrival within the window gives the
/// same output. Units: nanoseconds of CLOCK_MONOTONIC.
class MergeWindow {
 public:
  explicit MergeWindow(std::uint64_t window_ns) : window_ns_(window_ns) {}

  /// Whether the record comes after later ones were already given out.
  [[nodiscard]] bool is_late(const Event& event) const { return event.header.mono_ns < released_ns_; }
  /// Keeps a copy. Precondition: !is_late(event).
  void push(const Event& event);
  /// Takes the oldest record if it is older than the window; false if there is none.
  [[nodiscard]] bool pop_ready(Event& out);
  /// Takes the oldest record; false if there is none.
  [[nodiscard]] bool pop_any(Event& out);
  /// Time has come to now_ns: what is older than the window is ready.
  void advance(std::uint64_t now_ns);
  /// Everything before this moment was given out.
  [[nodiscard]] std::uint64_t watermark_ns() const { return newest_ns_ > window_ns_ ? newest_ns_ - window_ns_ : 0; }
  [[nodiscard]] bool empty() const { return heap_.empty(); }

 private:
  struct Later {
    bool operator()(const Event& a, const Event& b) const;
  };
  std::uint64_t window_ns_;
  std::uint64_t newest_ns_ = 0;
  std::uint64_t released_ns_ = 0;
  std::priority_queue<Event, std::vector<Event>, Later> heap_;
};

}  // namespace conntrace::cli
