// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/types.h>

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "conntrace/error.h"
#include "conntrace/unique_fd.h"

namespace conntrace::cli {

/// A command that is started in two steps, so that it is observed from its first system call on.
///
/// Threading: one thread; fork() must happen before others start. Lifetime: the destructor kills a command that was
/// never let go, and leaves a running one alone.
class StoppedChild {
 public:
  /// Forks. With `stdout_to_stderr` our stdout stays free for data.
  [[nodiscard]] static Result<std::unique_ptr<StoppedChild>> fork(const std::vector<std::string>& command,
                                                                  bool stdout_to_stderr);
  ~StoppedChild();
  StoppedChild(const StoppedChild&) = delete;
  StoppedChild& operator=(const StoppedChild&) = delete;

  [[nodiscard]] pid_t pid() const { return pid_; }
  /// Lets it execute the command. Errors: ENOENT and EACCES of execvp(3); the child is gone then.
  [[nodiscard]] Result<void> go();
  /// If it has ended: its exit status as a shell says it, 128 + the signal's number if one killed it.
  [[nodiscard]] std::optional<int> exit_status();

 private:
  StoppedChild(pid_t pid, std::string name, UniqueFd start, UniqueFd failure);

  pid_t pid_;
  const std::string name_;
  UniqueFd start_;    ///< writing lets it go; closing without ends it
  UniqueFd failure_;  ///< gives errno if execvp failed, EOF if it did not
  bool gone_ = false;
  std::optional<int> status_;
};

}  // namespace conntrace::cli
