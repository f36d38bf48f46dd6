// SPDX-License-Identifier: Apache-2.0
#include "timeline/process_table.h"

#include <algorithm>

namespace conntrace::cli {
namespace {

/// Requests and sockets know their process: without this they would keep each other alive.
void let_go(ProcessState& process) {
  process.requests.clear();
  process.dials.clear();
  process.closed.clear();
}

}  // namespace

ProcessTable::~ProcessTable() {
  for (const Ptr& process : all_) let_go(*process);
}

ProcessTable::Ptr ProcessTable::find(std::uint32_t pid, std::uint64_t start_time_ns) const {
  const auto found = by_pid_.find(pid);
  if (found == by_pid_.end() || found->second.empty()) return nullptr;
  if (start_time_ns == 0) return found->second.back();
  for (const Ptr& process : found->second) {
    if (process->facts.start_time_ns == start_time_ns) return process;
  }
  return nullptr;
}

ProcessTable::Ptr ProcessTable::get(std::uint32_t pid, std::uint64_t start_time_ns) {
  if (Ptr known = find(pid, start_time_ns)) return known;
  std::vector<Ptr>& same_pid = by_pid_[pid];
  if (!same_pid.empty() && !same_pid.back()->facts.start_time_ns) {  // its first records did not say when it started
    same_pid.back()->facts.start_time_ns = start_time_ns;
    return same_pid.back();
  }
  auto process = std::make_shared<ProcessState>();
  process->facts.pid = pid;
  if (start_time_ns != 0) process->facts.start_time_ns = start_time_ns;
  same_pid.push_back(process);
  all_.push_back(process);
  return process;
}

void ProcessTable::erase(const Ptr& process) {
  let_go(*process);
  std::erase(all_, process);
  if (const auto found = by_pid_.find(process->facts.pid); found != by_pid_.end()) {
    std::erase(found->second, process);
    if (found->second.empty()) by_pid_.erase(found);
  }
}

}  // namespace conntrace::cli
