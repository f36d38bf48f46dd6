// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>
#include <string>
#include <vector>

#include "conntrace/unique_fd.h"
#include "sources/process.h"

namespace conntrace::cli {

/// The processes that the user named, and when they end.
///
/// Threading: one thread. A pid that the system gives to another process meanwhile is not taken for it (pidfd).
class Targets {
 public:
  /// Errors: ESRCH if it does not exist or has ended already.
  [[nodiscard]] Result<Process> add(pid_t pid);
  /// Descriptors that become readable when one ends.
  [[nodiscard]] std::vector<int> fds() const;
  /// Those that have ended since the last call; they are no targets any more.
  [[nodiscard]] std::vector<Process> take_ended();
  [[nodiscard]] bool empty() const { return targets_.empty(); }

 private:
  struct Target {
    Process process;
    UniqueFd pidfd;
  };
  std::map<pid_t, Target> targets_;
};

}  // namespace conntrace::cli
