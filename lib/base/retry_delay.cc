// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <atomic>
#include <bit>
#include <memory>
#include <random>
#include <utility>

#include "base/saturate.h"
#include "conntrace/retry.h"

namespace conntrace {
namespace {

using std::chrono::nanoseconds;

/// delay * 2^doublings, doubled only as often as fits.
nanoseconds doubled(nanoseconds delay, std::uint32_t doublings) {
  const auto count = static_cast<std::uint64_t>(std::max<std::int64_t>(delay.count(), 1));
  const auto most = static_cast<std::uint32_t>(63 - std::bit_width(count));
  return nanoseconds(static_cast<std::int64_t>(count << std::min(doublings, most)));
}

/// Uniform in [0, end), up to one part in 2^64/end; 0 if that is empty.
nanoseconds uniform_below(nanoseconds end, const Random& random) {
  if (end.count() <= 0) return nanoseconds(0);
  __extension__ using Wide = unsigned __int128;
  return nanoseconds(static_cast<std::int64_t>((static_cast<Wide>(random()) * static_cast<Wide>(end.count())) >> 64));
}

}  // namespace

Random seeded_random(std::uint64_t seed) {
  // SplitMix64 (Steele, Lea, Flood 2014). Its state is a counter, so threads need no lock.
  return [state = std::make_shared<std::atomic<std::uint64_t>>(seed)] {
    constexpr std::uint64_t kStep = 0x9e3779b97f4a7c15;
    std::uint64_t z = state->fetch_add(kStep, std::memory_order_relaxed) + kStep;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    return z ^ (z >> 31);
  };
}

Random unpredictable_random() {
  std::random_device device;
  return seeded_random((std::uint64_t{device()} << 32) | device());
}

nanoseconds fixed_delay(const DelayInput& input) { return input.delay; }

nanoseconds exponential_delay(const DelayInput& input) {
  return doubled(input.delay, std::max(input.failed.number, 1U) - 1);
}

nanoseconds random_delay(const DelayInput& input) { return uniform_below(input.max_jitter, input.random); }

nanoseconds full_jitter_delay(const DelayInput& input) {
  nanoseconds end = doubled(input.delay, input.failed.number);
  if (input.max_delay.count() > 0) end = std::min(end, input.max_delay);
  return uniform_below(end, input.random);
}

DelayType combined_delay(std::vector<DelayType> types) {
  return [types = std::move(types)](const DelayInput& input) {
    nanoseconds sum{};
    for (const DelayType& type : types) sum = saturating_add(sum, std::max(type(input), nanoseconds(0)));
    return sum;
  };
}

}  // namespace conntrace
