// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <cstdint>
#include <string>

namespace conntrace {

/// Nanoseconds of CLOCK_MONOTONIC: the one clock of event records, and the kernel's bpf_ktime_get_ns.
using MonoTime = std::chrono::nanoseconds;

/// CLOCK_MONOTONIC now.
[[nodiscard]] MonoTime mono_now() noexcept;

/// One moment on both clocks, taken together, so that wall time can be shown without ever being measured with.
struct ClockPair {
  MonoTime mono{};
  std::chrono::nanoseconds wall{};  ///< since the Unix epoch
};
[[nodiscard]] ClockPair clock_pair_now() noexcept;

/// RFC 3339, UTC, nine digits: 2026-01-02T03:04:05.123456789Z
[[nodiscard]] std::string rfc3339(std::chrono::nanoseconds wall);

}  // namespace conntrace
