// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>
#include <vector>

#include "conntrace/error.h"

namespace conntrace::cli {

/// A process as /proc shows it now. Empty or 0: not readable for this user.
struct Process {
  pid_t pid = 0;
  pid_t own_pid = 0;  ///< in its own pid namespace: the last of NSpid
  pid_t parent = 0;
  std::uint64_t start_time_ns = 0;  ///< since boot, in steps of 1/CLK_TCK
  std::uint64_t netns = 0;          ///< inode
  std::string comm;
  std::string exe;
  std::string cgroup;  ///< cgroup2 path
  bool zombie = false;
};

/// Errors: ESRCH if there is no such process.
[[nodiscard]] Result<Process> read_process(pid_t pid);
/// All process ids, in ascending order.
[[nodiscard]] std::vector<pid_t> all_pids();
/// Those whose command name is `comm`, conntrace itself excluded.
[[nodiscard]] std::vector<pid_t> pids_named(const std::string& comm);

}  // namespace conntrace::cli
