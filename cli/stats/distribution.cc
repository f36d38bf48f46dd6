// SPDX-License-Identifier: Apache-2.0
#include "stats/distribution.h"

#include <algorithm>
#include <bit>
#include <cmath>

namespace conntrace::cli {
namespace {

/// Values below 2^kExactBits have a bucket each; above, each power of two has half as many.
constexpr int kExactBits = 8;
constexpr std::uint64_t kExact = 1u << kExactBits;
constexpr std::uint64_t kHalf = kExact / 2;

std::uint32_t bucket_of(std::uint64_t value) {
  if (value < kExact) return static_cast<std::uint32_t>(value);
  const int shift = static_cast<int>(std::bit_width(value)) - kExactBits;
  return static_cast<std::uint32_t>(kExact + static_cast<std::uint64_t>(shift - 1) * kHalf + (value >> shift) - kHalf);
}

std::uint64_t largest_of(std::uint32_t bucket) {
  if (bucket < kExact) return bucket;
  const std::uint64_t above = bucket - kExact;
  const auto shift = static_cast<int>(above / kHalf) + 1;
  return ((above % kHalf + kHalf + 1) << shift) - 1;
}

}  // namespace

void Distribution::add(std::uint64_t value) {
  ++buckets_[bucket_of(value)];
  ++count_;
  sum_ += value;
  max_ = std::max(max_, value);
}

std::uint64_t Distribution::percentile(double part) const {
  const auto rank = static_cast<std::uint64_t>(std::ceil(part * static_cast<double>(count_)));
  std::uint64_t seen = 0;
  for (const auto& [bucket, count] : buckets_) {
    seen += count;
    if (seen >= rank) return std::min(largest_of(bucket), max_);
  }
  return max_;
}

Times Distribution::times() const {
  return {.count = count_,
          .sum_ns = sum_,
          .p50_ns = percentile(0.5),
          .p90_ns = percentile(0.9),
          .p99_ns = percentile(0.99),
          .max_ns = max_};
}

}  // namespace conntrace::cli
