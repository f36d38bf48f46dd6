// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <mutex>
#include <stop_token>
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

/// Where a part that waits gets its time from, so that its tests need not sleep.
///
/// Threading: any thread may call. Lifetime: outlives its conditions and whoever was given it.
class Clock {
 public:
  /// A condition variable that the clock knows of. Spurious wake-ups happen: look at what is waited for, then wait
  /// again.
  class Condition {
   public:
    Condition() = default;
    Condition(const Condition&) = delete;
    Condition& operator=(const Condition&) = delete;
    virtual ~Condition() = default;

    virtual void notify_one() noexcept = 0;
    virtual void notify_all() noexcept = 0;
    /// Blocking: releases `lock` until it is notified or `deadline` has come; MonoTime::max(): no deadline. All who
    /// wait at one time hold the same mutex.
    virtual void wait_until(std::unique_lock<std::mutex>& lock, MonoTime deadline) = 0;
  };

  Clock() = default;
  Clock(const Clock&) = delete;
  Clock& operator=(const Clock&) = delete;
  virtual ~Clock() = default;

  [[nodiscard]] virtual MonoTime now() const noexcept = 0;
  /// Since the Unix epoch. For dates that others wrote, such as Retry-After; never to measure with.
  [[nodiscard]] virtual std::chrono::nanoseconds wall_now() const noexcept = 0;
  [[nodiscard]] virtual std::unique_ptr<Condition> make_condition() = 0;

  /// Blocking: until `deadline`. False: `stop` was requested before.
  bool sleep_until(MonoTime deadline, const std::stop_token& stop = {});
};

/// CLOCK_MONOTONIC and CLOCK_REALTIME. Stateless, and never destroyed.
[[nodiscard]] Clock& real_clock() noexcept;

/// RFC 3339, UTC, nine digits: 2026-01-02T03:04:05.123456789Z
[[nodiscard]] std::string rfc3339(std::chrono::nanoseconds wall);

}  // namespace conntrace
