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

#include "agent/descriptor_classes.h"
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

  using OpenFilesSink = std::function<void(const conntrace_open_files&)>;

  [[nodiscard]] static Result<std::unique_ptr<KernelPrograms>> open(const ObserverOptions& options);
  virtual ~KernelPrograms() = default;

  /// Adds to the processes that are observed. Errors: ENOSPC.
  [[nodiscard]] virtual Result<void> observe(pid_t pid) = 0;
  /// Whether processes are observed that were not added.
  virtual void observe_all(bool all) = 0;
  /// Takes a process away, with its sockets.
  [[nodiscard]] virtual Result<void> forget(pid_t pid) = 0;
  /// Attaches everything. Called once, after the first processes were added, so that no event is of an unknown one.
  [[nodiscard]] virtual Result<void> attach() = 0;
  /// Announces the sockets of one process, or of all observed ones, that nobody has seen yet.
  [[nodiscard]] virtual Result<void> adopt(std::optional<pid_t> pid, const RecordSink& sink) = 0;
  /// Announces the sockets of a process that are known already.
  [[nodiscard]] virtual Result<void> describe(pid_t pid, const RecordSink& sink) = 0;
  /// Of one or each observed process, how many descriptors it has, and its limits. Errors: ENOSYS this kernel cannot.
  [[nodiscard]] virtual Result<void> count_open(std::optional<pid_t> pid, const OpenFilesSink& sink) = 0;
  /// What the descriptors of a process are. Errors: ENOSYS this kernel cannot; ENOSPC they are too different.
  [[nodiscard]] virtual Result<std::vector<FdTally>> classify_descriptors(pid_t pid) = 0;
  /// Gives what is in the ring to the sink. Stops after `at_most` records. Returns how many it gave.
  [[nodiscard]] virtual Result<std::uint64_t> consume(std::uint64_t at_most, const RecordSink& sink) = 0;
  /// Waits until the kernel says that the ring is half full, or for the time.
  [[nodiscard]] virtual Result<void> wait(int timeout_ms) = 0;
  /// Puts a CONNTRACE_RECORD_BARRIER with this number behind everything that was written. False: the ring is full.
  [[nodiscard]] virtual Result<bool> mark(std::uint64_t number) = 0;
  [[nodiscard]] virtual Losses losses() const = 0;
  /// Records that were put into the ring so far.
  [[nodiscard]] virtual std::uint64_t written() const = 0;
  /// What the programs have cost. Errors: EPERM.
  [[nodiscard]] virtual Result<std::vector<ProgramCost>> costs() const = 0;
  [[nodiscard]] virtual const std::vector<HookProbe>& missing() const = 0;
};

/// Loads and attaches one hook and lets it go again.
[[nodiscard]] HookProbe probe_hook(const Hook& hook);

}  // namespace conntrace::agent
