// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "bpf/kernel_event.h"
#include "conntrace/kernel_events.h"

namespace conntrace::agent {

/// Descriptors of a process that are alike, as the kernel's walk counts them.
struct FdTally {
  conntrace_fd_class what{};
  std::uint64_t count = 0;
};

/// A census in the words of fd_census: most first. A record has room for kMaxFdClasses; of the rest those that differ
/// by their peer only are counted together.
class FdClasses {
 public:
  explicit FdClasses(const std::vector<FdTally>& tallies);

  [[nodiscard]] List<FdClassCount> view() const { return counts_; }
  /// All of them together.
  [[nodiscard]] std::uint64_t total() const { return total_; }

 private:
  std::vector<std::string> texts_;
  std::vector<FdClassCount> counts_;
  std::uint64_t total_ = 0;
};

inline constexpr std::size_t kMaxFdClasses = 32;

}  // namespace conntrace::agent
