// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>

#include "conntrace/event.h"

namespace conntrace {

/// Who this process is, as /proc/self says. What cannot be read is empty or 0: not known.
struct ProcessIdentity {
  std::uint32_t pid = 0;  ///< in its own pid namespace
  std::uint64_t start_time_ns = 0;
  std::uint64_t netns = 0;
  std::string boot_id;
  std::string host;
  std::string comm;
  std::string exe;
  std::string cgroup;

  /// A header of a record about this process.
  [[nodiscard]] EventHeader header(std::uint64_t mono_ns) const;
};

[[nodiscard]] ProcessIdentity read_process_identity();

}  // namespace conntrace
