// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/types.h>

#include <compare>
#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <set>
#include <utility>
#include <vector>

#include "conntrace/clock.h"
#include "conntrace/error.h"

namespace conntrace::agent {

/// A process, whoever had its pid before.
struct ProcessKey {
  pid_t pid = 0;
  std::uint64_t start_time_ns = 0;
  auto operator<=>(const ProcessKey&) const = default;
};

/// What /proc says of a process now.
struct LookedAt {
  ProcessKey key;
  std::optional<uid_t> owner;  ///< see ProcessInfo
};
/// Errors: ESRCH; EINVAL it is a thread.
[[nodiscard]] Result<LookedAt> look_at(pid_t pid);

/// Whether a user may see what belongs to this owner. What has none is root's to see only.
[[nodiscard]] constexpr bool may_see(uid_t user, std::optional<uid_t> owner) { return user == 0 || owner == user; }

/// The processes that the daemon observes, and those that ended a while ago: their sockets may still say something.
class KnownProcesses {
 public:
  /// It is observed from now on. Whoever had its number before has ended, though that was not seen.
  void set_observed(const ProcessKey& process, MonoTime now);
  void set_ended(const ProcessKey& process, MonoTime now);
  /// Nobody wants it.
  void forget(const ProcessKey& process) { observed_.erase(process); }
  void clear();

  [[nodiscard]] const std::set<ProcessKey>& observed() const { return observed_; }
  /// The observed one that has this pid.
  [[nodiscard]] std::optional<ProcessKey> of(pid_t pid) const;
  /// Drops those that ended long ago, or too many others ago, and returns them.
  std::vector<ProcessKey> drop_old(MonoTime now);

 private:
  std::set<ProcessKey> observed_;
  std::deque<std::pair<MonoTime, ProcessKey>> ended_;  ///< oldest first
};

}  // namespace conntrace::agent
