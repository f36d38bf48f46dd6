// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "conntrace/error.h"

namespace conntrace::agent {

/// What /proc says of a process. Empty: not known (another user's, or gone meanwhile).
struct ProcessInfo {
  pid_t pid = 0;
  std::uint64_t start_time_ns = 0;  ///< field 22 of /proc/PID/stat
  std::string comm;
  std::string exe;
  std::string cgroup;          ///< cgroup2 path
  std::optional<uid_t> owner;  ///< the one user, besides root, whom the kernel lets look into it
};

/// Errors: ESRCH no such process; EINVAL it is a thread, and of which process.
[[nodiscard]] Result<ProcessInfo> read_process_info(pid_t pid);

/// Whether it has ended for sure. Takes no descriptor to find out, unless its number is another's now.
[[nodiscard]] bool is_gone(const ProcessInfo& process);

/// Processes that are probably of one of these users: whose files in /proc are theirs. Cheap.
[[nodiscard]] std::vector<pid_t> processes_of(const std::set<uid_t>& users);

/// Every process that /proc shows and that has a program, that is, kernel threads excluded.
[[nodiscard]] std::vector<pid_t> all_processes();

/// pid, start_time_ns and comm only: one small file. Errors: ESRCH.
[[nodiscard]] Result<ProcessInfo> read_process_stat(pid_t pid);

}  // namespace conntrace::agent
