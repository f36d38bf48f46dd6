// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>

namespace conntrace {

/// The sum of two durations that are not negative; the longest duration where it would overflow.
[[nodiscard]] constexpr std::chrono::nanoseconds saturating_add(std::chrono::nanoseconds a,
                                                                std::chrono::nanoseconds b) noexcept {
  return a > std::chrono::nanoseconds::max() - b ? std::chrono::nanoseconds::max() : a + b;
}

}  // namespace conntrace
