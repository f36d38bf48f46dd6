// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <vector>

#include "agent/kernel_programs.h"
#include "agent/observer.h"
#include "agent/process_info.h"
#include "bpf/kernel_event.h"

namespace conntrace::agent {

/// The processes under observation: says when they begin and end, and counts their descriptors now and then.
class ObservedProcesses {
 public:
  /// The kernel's walks; where they fail, /proc gives the numbers alone.
  struct Walks {
    std::function<Result<void>(std::optional<pid_t>, const KernelPrograms::OpenFilesSink&)> count;
    std::function<Result<std::vector<FdTally>>(pid_t)> classify;
  };
  ObservedProcesses(Observer::Sink sink, Walks walks);

  /// One that ran already. Its process_start has the source proc.
  void add_existing(ProcessInfo info);
  [[nodiscard]] bool contains(const ProcessInfo& process) const;
  /// Says nothing. Does nothing if the number is another's by now.
  void remove(pid_t pid, std::uint64_t start_time_ns);
  /// Tells `sink` alone of one that is observed already, as if it were added now.
  void introduce(pid_t pid, const Observer::Sink& sink) const;
  /// process_start or process_exit from the kernel.
  void read(const conntrace_record& record);
  /// fd_census of each. What the descriptors are is looked at when their number has changed, or after a while, and of
  /// so many processes that it takes a hundredth of the time until the next census.
  void census(std::uint64_t now_ns, std::uint64_t interval_ns);
  /// fd_census of one, unless there was one a moment ago: a process at its limit fails thousands of times a second. All
  /// such censuses together take a twentieth of the time at most.
  void census_at_limit(pid_t pid, std::uint64_t mono_ns);

 private:
  struct Observed {
    ProcessInfo info;
    std::uint64_t classified_ns = 0;
    std::uint64_t classified_open = 0;
    std::uint64_t at_limit_ns = 0;
  };

  void on_start(const conntrace_record& record);
  void on_exit(const conntrace_record& record);
  void tell(const conntrace_open_files& counted, const std::vector<FdTally>& tallies) const;
  /// True: what they are was looked at.
  bool tell_classes(Observed& process, conntrace_open_files counted);
  void tell_from_proc(const Observed& process) const;
  /// Its end was not seen.
  void tell_gone(const ProcessInfo& process) const;

  Observer::Sink sink_;
  Walks walks_;
  std::map<pid_t, Observed> processes_;
  pid_t last_classified_ = 0;  ///< the next census goes on behind it
  std::uint64_t next_at_limit_ns_ = 0;
};

}  // namespace conntrace::agent
