// SPDX-License-Identifier: Apache-2.0
#include "agent/observed_processes.h"

#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <iterator>
#include <string>
#include <utility>

#include "agent/census.h"
#include "agent/kernel_reader.h"
#include "conntrace/clock.h"

namespace conntrace::agent {
namespace {

constexpr std::uint64_t kAtLimitInterval = 100'000'000;
constexpr std::uint64_t kClassesAreOld = 10'000'000'000;
constexpr std::uint64_t kPartOfInterval = 100;
constexpr std::uint64_t kPartAtLimit = 20;

void tell_existing(const ProcessInfo& process, const Observer::Sink& sink) {
  const EventHeader header{.mono_ns = static_cast<std::uint64_t>(mono_now().count()),
                           .source = Source::proc,
                           .pid = static_cast<std::uint32_t>(process.pid),
                           .start_time_ns = process.start_time_ns};
  sink(make_event<EventKind::process_start>(header, {.comm = process.comm,
                                                     .exe = process.exe,
                                                     .cgroup = process.cgroup,
                                                     .uid = process.owner,
                                                     .existed_before = true}));
}

}  // namespace

ObservedProcesses::ObservedProcesses(Observer::Sink sink, Walks walks)
    : sink_(std::move(sink)), walks_(std::move(walks)) {}

void ObservedProcesses::add_existing(ProcessInfo info) {
  const pid_t pid = info.pid;
  Observed& added = processes_[pid] = {};
  added.info = std::move(info);
  tell_existing(added.info, sink_);
}

bool ObservedProcesses::contains(const ProcessInfo& process) const {
  const auto found = processes_.find(process.pid);
  return found != processes_.end() && found->second.info.start_time_ns == process.start_time_ns;
}

void ObservedProcesses::remove(pid_t pid, std::uint64_t start_time_ns) {
  const auto found = processes_.find(pid);
  if (found != processes_.end() && found->second.info.start_time_ns == start_time_ns) processes_.erase(found);
}

void ObservedProcesses::introduce(pid_t pid, const Observer::Sink& sink) const {
  if (const auto found = processes_.find(pid); found != processes_.end()) tell_existing(found->second.info, sink);
}

void ObservedProcesses::read(const conntrace_record& record) {
  if (record.header.kind == CONNTRACE_EVENT_process_start) {
    on_start(record);
  } else {
    on_exit(record);
  }
}

void ObservedProcesses::on_start(const conntrace_record& record) {
  const auto pid = static_cast<pid_t>(record.header.pid);
  ProcessInfo info{
      .pid = pid, .start_time_ns = record.header.start_time_ns, .comm = std::string(comm_of(record.header))};
  if (record.process.user != CONNTRACE_NO_USER) info.owner = record.process.user;
  // A short-lived process may be gone, and its number another's.
  if (auto now = read_process_info(pid); now && now->start_time_ns == info.start_time_ns) {
    info.exe = std::move(now->exe);
    info.cgroup = std::move(now->cgroup);
    // It knows more than the record: whether the process may be dumped.
    if (now->owner != info.owner) info.owner.reset();
  }
  if (record.process.executed == 0) {
    // It may have executed something else since: at its fork its program was the parent's.
    const auto parent = processes_.find(static_cast<pid_t>(record.process.parent));
    info.exe = parent != processes_.end() ? parent->second.info.exe : std::string();
  }
  std::optional<std::uint64_t> parent;
  if (record.process.parent != 0) parent = record.process.parent;
  Observed& process = processes_[pid] = {};
  process.info = std::move(info);
  const ProcessInfo& added = process.info;
  sink_(make_event<EventKind::process_start>(
      event_header(record.header),
      {.comm = added.comm, .exe = added.exe, .cgroup = added.cgroup, .parent = parent, .uid = added.owner}));
}

void ObservedProcesses::on_exit(const conntrace_record& record) {
  remove(static_cast<pid_t>(record.header.pid), record.header.start_time_ns);
  EventHeader header = event_header(record.header);
  header.tid = 0;
  sink_(make_event<EventKind::process_exit>(
      header, {.comm = comm_of(record.header), .exit_status = record.process.exit_status}));
}

void ObservedProcesses::tell(const conntrace_open_files& counted, const std::vector<FdTally>& tallies) const {
  const auto limit = [](std::uint64_t value) {
    return value == RLIM_INFINITY ? std::nullopt : std::optional<std::uint64_t>(value);
  };
  const FdClasses classes(tallies);
  const EventHeader header{
      .mono_ns = counted.mono_ns, .source = Source::kernel, .pid = counted.pid, .start_time_ns = counted.start_time_ns};
  sink_(make_event<EventKind::fd_census>(header, {.open = tallies.empty() ? counted.open : classes.total(),
                                                  .soft_limit = limit(counted.soft_limit),
                                                  .hard_limit = limit(counted.hard_limit),
                                                  .classes = classes.view(),
                                                  .comm = {counted.comm, strnlen(counted.comm, sizeof counted.comm)}}));
}

bool ObservedProcesses::tell_classes(Observed& process, conntrace_open_files counted) {
  const auto tallies = walks_.classify(process.info.pid);
  if (!tallies || tallies->empty()) {
    tell(counted, {});
    return false;
  }
  // Each walk has its moment: this is the later one.
  counted.mono_ns = static_cast<std::uint64_t>(mono_now().count());
  process.classified_ns = counted.mono_ns;
  process.classified_open = counted.open;
  tell(counted, *tallies);
  return true;
}

void ObservedProcesses::tell_from_proc(const Observed& process) const {
  if (const auto event = count_descriptors(process.info)) sink_(*event);
}

void ObservedProcesses::tell_gone(const ProcessInfo& process) const {
  const EventHeader header{.mono_ns = static_cast<std::uint64_t>(mono_now().count()),
                           .source = Source::proc,
                           .pid = static_cast<std::uint32_t>(process.pid),
                           .start_time_ns = process.start_time_ns};
  sink_(make_event<EventKind::process_exit>(header, {.comm = process.comm, .exit_status = std::nullopt}));
}

void ObservedProcesses::census(std::uint64_t now_ns, std::uint64_t interval_ns) {
  std::map<pid_t, conntrace_open_files> counted;
  const auto walked = walks_.count(std::nullopt, [&counted](const conntrace_open_files& of_one) {
    counted[static_cast<pid_t>(of_one.pid)] = of_one;
  });
  if (!walked) counted.clear();
  std::vector<pid_t> due;
  for (auto entry = processes_.begin(); entry != processes_.end();) {
    Observed& process = entry->second;
    const auto found = counted.find(entry->first);
    if (found == counted.end() || found->second.start_time_ns != process.info.start_time_ns) {
      if (is_gone(process.info)) {  // its process_exit was lost
        tell_gone(process.info);
        entry = processes_.erase(entry);
        continue;
      }
      tell_from_proc(process);  // its leader has ended, not its other threads
    } else {
      // The walk over descriptors would see its own.
      const bool changed = found->second.open != process.classified_open;
      if (entry->first != getpid() && (changed || now_ns - process.classified_ns > kClassesAreOld)) {
        due.push_back(entry->first);
      } else {
        tell(found->second, {});
      }
    }
    ++entry;
  }
  std::rotate(due.begin(), std::upper_bound(due.begin(), due.end(), last_classified_), due.end());
  const std::uint64_t until = static_cast<std::uint64_t>(mono_now().count()) + interval_ns / kPartOfInterval;
  bool time_left = true;
  for (const pid_t pid : due) {
    if (!time_left) {
      tell(counted[pid], {});
      continue;
    }
    if (tell_classes(processes_[pid], counted[pid])) last_classified_ = pid;
    time_left = static_cast<std::uint64_t>(mono_now().count()) < until;
  }
}

void ObservedProcesses::census_at_limit(pid_t pid, std::uint64_t mono_ns) {
  const auto found = processes_.find(pid);
  if (found == processes_.end()) return;
  Observed& process = found->second;
  if (process.at_limit_ns != 0 && mono_ns - process.at_limit_ns < kAtLimitInterval) return;
  const auto begin = static_cast<std::uint64_t>(mono_now().count());
  if (begin < next_at_limit_ns_) return;
  process.at_limit_ns = mono_ns;
  std::optional<conntrace_open_files> counted;
  const auto walked = walks_.count(pid, [&](const conntrace_open_files& of_one) {
    if (of_one.start_time_ns == process.info.start_time_ns) counted = of_one;
  });
  if (walked && counted && pid != getpid()) {
    tell_classes(process, *counted);
  } else if (!is_gone(process.info)) {
    tell_from_proc(process);
  }
  const auto end = static_cast<std::uint64_t>(mono_now().count());
  next_at_limit_ns_ = end + (end - begin) * kPartAtLimit;
}

}  // namespace conntrace::agent
