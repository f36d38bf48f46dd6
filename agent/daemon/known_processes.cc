// SPDX-License-Identifier: Apache-2.0
#include "agent/daemon/known_processes.h"

#include <chrono>
#include <cstddef>

#include "agent/process_info.h"

namespace conntrace::agent {
namespace {

constexpr MonoTime kKept = std::chrono::minutes(1);  // TIME_WAIT
constexpr std::size_t kMaxEnded = 10'000;

}  // namespace

Result<LookedAt> look_at(pid_t pid) {
  const auto info = read_process_info(pid);
  if (!info) return Failure(info.error());
  return LookedAt{.key = {pid, info->start_time_ns}, .owner = info->owner};
}

void KnownProcesses::set_observed(const ProcessKey& process, MonoTime now) {
  for (auto older = of(process.pid); older && *older != process; older = of(process.pid)) set_ended(*older, now);
  observed_.insert(process);
}

void KnownProcesses::set_ended(const ProcessKey& process, MonoTime now) {
  observed_.erase(process);
  ended_.emplace_back(now, process);
}

void KnownProcesses::clear() {
  observed_.clear();
  ended_.clear();
}

std::optional<ProcessKey> KnownProcesses::of(pid_t pid) const {
  const auto found = observed_.lower_bound({pid, 0});
  if (found == observed_.end() || found->pid != pid) return std::nullopt;
  return *found;
}

std::vector<ProcessKey> KnownProcesses::drop_old(MonoTime now) {
  std::vector<ProcessKey> dropped;
  while (!ended_.empty() && (now - ended_.front().first > kKept || ended_.size() > kMaxEnded)) {
    dropped.push_back(ended_.front().second);
    ended_.pop_front();
  }
  return dropped;
}

}  // namespace conntrace::agent
