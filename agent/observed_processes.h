// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <map>

#include "agent/observer.h"
#include "agent/process_info.h"
#include "bpf/kernel_event.h"

namespace conntrace::agent {

/// The processes under observation: says when they begin and end, and counts their descriptors now and then.
class ObservedProcesses {
 public:
  explicit ObservedProcesses(Observer::Sink sink);

  /// One that ran already. Its process_start has the source proc.
  void add_existing(ProcessInfo info);
  /// process_start or process_exit from the kernel.
  void read(const conntrace_record& record);
  /// fd_census of each. Returns how many were given.
  void census();
  /// fd_census of one, unless there was one a moment ago: a process at its limit fails thousands of times a second.
  void census_at_limit(pid_t pid, std::uint64_t mono_ns);

 private:
  void on_start(const conntrace_record& record);
  void on_exit(const conntrace_record& record);
  [[nodiscard]] bool count(pid_t pid, std::uint64_t start_time_ns);

  Observer::Sink sink_;
  std::map<pid_t, ProcessInfo> processes_;
  std::map<pid_t, std::uint64_t> counted_at_limit_;
};

}  // namespace conntrace::agent
