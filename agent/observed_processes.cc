// SPDX-License-Identifier: Apache-2.0
#include "agent/observed_processes.h"

#include <string>
#include <utility>

#include "agent/census.h"
#include "agent/kernel_reader.h"
#include "conntrace/clock.h"

namespace conntrace::agent {
namespace {

constexpr std::uint64_t kAtLimitInterval = 100'000'000;

}  // namespace

ObservedProcesses::ObservedProcesses(Observer::Sink sink) : sink_(std::move(sink)) {}

void ObservedProcesses::add_existing(ProcessInfo info) {
  const pid_t pid = info.pid;
  const auto& added = processes_.insert_or_assign(pid, std::move(info)).first->second;
  const EventHeader header{.mono_ns = static_cast<std::uint64_t>(mono_now().count()),
                           .source = Source::proc,
                           .pid = static_cast<std::uint32_t>(pid),
                           .start_time_ns = added.start_time_ns};
  sink_(make_event<EventKind::process_start>(
      header, {.comm = added.comm, .exe = added.exe, .cgroup = added.cgroup, .existed_before = true}));
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
  // A short-lived process may be gone, and its number another's.
  if (auto now = read_process_info(pid); now && now->start_time_ns == info.start_time_ns) {
    info.exe = std::move(now->exe);
    info.cgroup = std::move(now->cgroup);
  }
  if (record.process.executed == 0) {
    // It may have executed something else since: at its fork its program was the parent's.
    const auto parent = processes_.find(static_cast<pid_t>(record.process.parent));
    info.exe = parent != processes_.end() ? parent->second.exe : std::string();
  }
  std::optional<std::uint64_t> parent;
  if (record.process.parent != 0) parent = record.process.parent;
  const auto& added = processes_.insert_or_assign(pid, std::move(info)).first->second;
  sink_(make_event<EventKind::process_start>(
      event_header(record.header), {.comm = added.comm, .exe = added.exe, .cgroup = added.cgroup, .parent = parent}));
}

void ObservedProcesses::on_exit(const conntrace_record& record) {
  const auto pid = static_cast<pid_t>(record.header.pid);
  processes_.erase(pid);
  counted_at_limit_.erase(pid);
  EventHeader header = event_header(record.header);
  header.tid = 0;
  sink_(make_event<EventKind::process_exit>(
      header, {.comm = comm_of(record.header), .exit_status = record.process.exit_status}));
}

bool ObservedProcesses::count(pid_t pid, std::uint64_t start_time_ns) {
  auto process = read_process_stat(pid);
  if (!process || process->start_time_ns != start_time_ns) return false;
  const auto event = count_descriptors(std::move(*process));
  if (!event) return event.error().code != std::errc::no_such_process;
  sink_(*event);
  return true;
}

void ObservedProcesses::census() {
  for (auto process = processes_.begin(); process != processes_.end();) {
    // Its process_exit may have been lost.
    process = count(process->first, process->second.start_time_ns) ? std::next(process) : processes_.erase(process);
  }
}

void ObservedProcesses::census_at_limit(pid_t pid, std::uint64_t mono_ns) {
  const auto process = processes_.find(pid);
  if (process == processes_.end()) return;
  auto& last = counted_at_limit_[pid];
  if (last != 0 && mono_ns - last < kAtLimitInterval) return;
  last = mono_ns;
  if (!count(pid, process->second.start_time_ns)) processes_.erase(process);
}

}  // namespace conntrace::agent
