// SPDX-License-Identifier: Apache-2.0
#include "conntrace/clock.h"

#include <fmt/format.h>
#include <time.h>

namespace conntrace {
namespace {

std::chrono::nanoseconds read_clock(clockid_t clock) noexcept {
  timespec now{};
  clock_gettime(clock, &now);
  return std::chrono::seconds(now.tv_sec) + std::chrono::nanoseconds(now.tv_nsec);
}

}  // namespace

MonoTime mono_now() noexcept { return read_clock(CLOCK_MONOTONIC); }

ClockPair clock_pair_now() noexcept {
  // The wall clock is read between two readings of the other; their middle is its moment.
  const MonoTime before = mono_now();
  const auto wall = read_clock(CLOCK_REALTIME);
  const MonoTime after = mono_now();
  return {before + (after - before) / 2, wall};
}

std::string rfc3339(std::chrono::nanoseconds wall) {
  const auto seconds = std::chrono::floor<std::chrono::seconds>(wall);
  const time_t time = seconds.count();
  tm utc{};
  gmtime_r(&time, &utc);
  return fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:09}Z", utc.tm_year + 1900, utc.tm_mon + 1, utc.tm_mday,
                     utc.tm_hour, utc.tm_min, utc.tm_sec, (wall - seconds).count());
}

}  // namespace conntrace
