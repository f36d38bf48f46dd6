// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <string>
#include <unordered_map>
#include <vector>

#include "conntrace/clock.h"
#include "sources/process.h"
#include "sources/sock_diag.h"
#include "sources/stream.h"

namespace conntrace::cli {

/// What can be seen of one's own processes without privilege: sockets by polls of /proc/PID/fd and sock_diag, joined by
/// inode, and descriptor counts.
///
/// Every fact is as old as the interval: what begins and ends between two polls is not seen, states in between are
/// skipped, and who closed is known only if a poll met CLOSE_WAIT.
///
/// Threading: one thread. Errors: a process that cannot be read is reported by add(), later it counts as gone.
class ProcSource {
 public:
  static constexpr std::chrono::milliseconds kInterval{100};
  static constexpr std::chrono::milliseconds kCensusInterval{1000};

  explicit ProcSource(const EventSink& sink);

  /// Errors: EACCES another user's process; EXDEV one in another network namespace, whose sockets cannot be asked for.
  [[nodiscard]] Result<void> add(const Process& process, bool existed_before);
  void remove(pid_t pid);
  /// One round. Returns the processes that the observed ones have forked since the last.
  [[nodiscard]] std::vector<pid_t> poll();
  /// Ends the streams.
  void finish();
  [[nodiscard]] std::uint64_t events() const { return proc_.events() + diag_.events(); }

 private:
  struct Observed {
    Process process;
    MonoTime added{};
    MonoTime next_census{};
    bool scanned = false;
  };
  struct Known {
    DiagSocket socket;
    pid_t pid = 0;
    std::uint64_t seen_in_round = 0;
  };
  struct Holder {
    pid_t pid = 0;
    int fd = -1;
  };

  void scan_descriptors(pid_t pid);
  void see(const DiagSocket& socket, MonoTime now);
  void census(Observed& observed, MonoTime now);
  [[nodiscard]] EventHeader header_of(const Observed& observed, Source source, MonoTime now) const;

  Stream proc_;
  Stream diag_;
  std::map<pid_t, Observed> observed_;
  std::unordered_map<std::uint64_t, Holder> holders_;  ///< by inode; of this round
  std::unordered_map<std::uint64_t, Known> known_;     ///< by cookie
  std::uint64_t netns_ = 0;                            ///< ours
  std::uint64_t round_ = 0;
  MonoTime last_round_{};
};

/// Processes whose parent is `pid`; empty where the kernel does not list them (CONFIG_PROC_CHILDREN).
[[nodiscard]] std::vector<pid_t> children_of(pid_t pid);

}  // namespace conntrace::cli
