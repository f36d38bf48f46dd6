// SPDX-License-Identifier: Apache-2.0
#include "sources/targets.h"

#include <poll.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>

namespace conntrace::cli {

Result<Process> Targets::add(pid_t pid) {
  UniqueFd pidfd(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)));
  if (!pidfd.valid()) {
    // EINVAL: it is a thread, not a process.
    return Failure(system_error(errno == EINVAL ? ESRCH : errno, "pid " + std::to_string(pid)));
  }
  auto process = read_process(pid);
  if (!process) return process;
  if (process->zombie) return Failure(system_error(ESRCH, "pid " + std::to_string(pid)));
  targets_.insert_or_assign(pid, Target{*process, std::move(pidfd)});
  return process;
}

std::vector<int> Targets::fds() const {
  std::vector<int> fds;
  for (const auto& [pid, target] : targets_) fds.push_back(target.pidfd.get());
  return fds;
}

std::vector<Process> Targets::take_ended() {
  std::vector<Process> ended;
  for (auto target = targets_.begin(); target != targets_.end();) {
    pollfd readable{target->second.pidfd.get(), POLLIN, 0};
    if (::poll(&readable, 1, 0) != 1) {
      ++target;
      continue;
    }
    ended.push_back(std::move(target->second.process));
    target = targets_.erase(target);
  }
  return ended;
}

}  // namespace conntrace::cli
