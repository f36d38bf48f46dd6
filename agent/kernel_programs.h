// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/types.h>

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "agent/hooks.h"
#include "agent/observer.h"

namespace conntrace::agent {

/// The BPF programs of one observer, loaded and attached.
///
/// Threading: one thread. Lifetime: the destructor detaches; nothing is pinned, so the kernel does the same if the
///            process dies.
/// Errors:    open() ENOENT no BTF, EPERM privileges missing (the context says which), otherwise the hook that failed.
class KernelPrograms {
 public:
  using Losses = std::array<std::array<std::uint64_t, CONNTRACE_LOSS_COUNT>, CONNTRACE_PROGRAM_COUNT>;
  /// One record of the ring or of an iterator; its size is checked by whoever reads it.
  using RecordSink = std::function<void(std::span<const std::byte>)>;

  [[nodiscard]] static Result<std::unique_ptr<KernelPrograms>> open(const ObserverOptions& options);
  virtual ~KernelPrograms() = default;

  /// Adds to the processes that are observed. Errors: ENOSPC.
  [[nodiscard]] virtual Result<void> observe(pid_t pid) = 0;
  /// Attaches everything. Called once, after the first processes were added, so that no event is of an unknown one.
  [[nodiscard]] virtual Result<void> attach() = 0;
  /// Announces the sockets of one process, or of all observed ones, that nobody has seen yet.
  [[nodiscard]] virtual Result<void> adopt(std::optional<pid_t> pid, const RecordSink& sink) = 0;
  /// Gives what is in the ring to the sink. Stops after `at_most` records. Returns how many it gave.
  [[nodiscard]] virtual Result<std::uint64_t> consume(std::uint64_t at_most, const RecordSink& sink) = 0;
  /// Waits until the kernel says that the ring is half full, or for the time.
  [[nodiscard]] virtual Result<void> wait(int timeout_ms) = 0;
  /// Puts a CONNTRACE_RECORD_BARRIER with this number behind everything that was written. False: the ring is full.
  [[nodiscard]] virtual Result<bool> mark(std::uint64_t number) = 0;
  [[nodiscard]] virtual Losses losses() const = 0;
  [[nodiscard]] virtual const std::vector<HookProbe>& missing() const = 0;
};

/// Loads and attaches one hook and lets it go again.
[[nodiscard]] HookProbe probe_hook(const Hook& hook);

}  // namespace conntrace::agent
