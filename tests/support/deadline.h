// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <thread>

namespace conntrace::testing {

/// Long enough for a busy machine under a sanitizer; a test that waits this long fails.
inline constexpr std::chrono::seconds kDeadline(20);

/// Waits until `condition` holds; false at the deadline.
template <class Condition>
[[nodiscard]] bool eventually(Condition condition) {
  const auto end = std::chrono::steady_clock::now() + kDeadline;
  while (!condition()) {
    if (std::chrono::steady_clock::now() >= end) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
  return true;
}

}  // namespace conntrace::testing
