// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <vector>

#include "conntrace/clock.h"
#include "sources/tap_source.h"

namespace conntrace::cli {

/// The taps of all observed processes: joined when they appear, read, and let go when they end.
///
/// Threading: one thread. Blocking: never.
class Taps {
 public:
  static constexpr std::chrono::milliseconds kRetry{250};

  explicit Taps(EventSink sink) : sink_(std::move(sink)) {}

  /// True: its tap is joined. Otherwise it is tried again every kRetry, unless that is hopeless.
  bool add(const Process& process);
  /// Its tap is not waited for any more; one that is joined is read to its end.
  void forget(pid_t pid) { waiting_.erase(pid); }
  /// Tries those that are due.
  void retry(MonoTime now);
  [[nodiscard]] bool any_waiting() const { return !waiting_.empty(); }
  [[nodiscard]] std::vector<int> fds() const;
  /// Takes what has arrived. False: more is there.
  bool read();
  [[nodiscard]] bool any_open() const { return !taps_.empty(); }
  [[nodiscard]] std::uint64_t joined() const { return joined_; }

 private:
  enum class Attempt { joined, later, never };
  Attempt attempt(const Process& process);

  const EventSink sink_;
  std::map<pid_t, Process> waiting_;
  std::vector<std::unique_ptr<TapSource>> taps_;
  std::uint64_t joined_ = 0;
  MonoTime next_try_{};
};

}  // namespace conntrace::cli
