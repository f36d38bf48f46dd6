// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <map>

#include "stats/report.h"

namespace conntrace::cli {

/// How often which value occurred. Count, sum and maximum are exact; percentiles are never below the true value and at
/// most 1/128 above it.
///
/// Memory: bounded: one counter for each 128th part of a power of two that occurred.
class Distribution {
 public:
  void add(std::uint64_t value);
  /// The smallest value that at least this part (0 … 1) of all values do not exceed; 0 if there are none.
  [[nodiscard]] std::uint64_t percentile(double part) const;
  [[nodiscard]] std::uint64_t count() const { return count_; }
  [[nodiscard]] Times times() const;

 private:
  std::map<std::uint32_t, std::uint64_t> buckets_;
  std::uint64_t count_ = 0;
  std::uint64_t sum_ = 0;
  std::uint64_t max_ = 0;
};

}  // namespace conntrace::cli
