// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <stop_token>
#include <string>

#include "conntrace/clock.h"
#include "conntrace/error.h"

namespace conntrace {

/// What becomes of jobs that wait when a WorkerPool ends.
enum class QueuedJobs : std::uint8_t {
  run,      ///< all that were accepted run
  discard,  ///< they are destroyed without having run, and counted
};

struct WorkerPoolOptions {
  std::size_t threads = 4;              ///< at least 1
  std::size_t max_queue = 1024;         ///< jobs that wait; running ones do not count
  std::string name = "conntrace-work";  ///< of the threads, as ps shows it (15 bytes)
  QueuedJobs at_end = QueuedJobs::run;  ///< what the destructor does with the queue
};

/// What happened in a WorkerPool, all of one moment: accepted = completed + running + queued + discarded.
struct WorkerPoolStats {
  std::size_t queued = 0;
  std::size_t running = 0;
  std::size_t most_queued = 0;  ///< at one time, so far
  std::uint64_t accepted = 0;
  std::uint64_t rejected = 0;   ///< by a full queue, a deadline, a stop or the end
  std::uint64_t completed = 0;  ///< ended, by return or exception
  std::uint64_t failed = 0;     ///< of those, by exception
  std::uint64_t discarded = 0;
};

/// A fixed number of threads for blocking work, behind a bounded queue, first in, first out.
///
/// Threading: any thread may submit, also a job. Lifetime: the destructor stops it and is not for a job of its own to
///            call; nobody submits meanwhile, and the clock outlives it.
/// Errors:    an exception that leaves a job is caught and counted. The constructor throws std::system_error if threads
///            cannot be started.
class WorkerPool {
 public:
  using Job = std::function<void()>;

  explicit WorkerPool(WorkerPoolOptions options, Clock& clock = real_clock());
  ~WorkerPool();
  WorkerPool(const WorkerPool&) = delete;
  WorkerPool& operator=(const WorkerPool&) = delete;

  /// Takes the job, or says why not: queue_full, shutdown. Never blocks.
  [[nodiscard]] Result<void> submit(Job job);
  /// Blocking: until there is room in the queue. In a job it may wait for its own end: give it a deadline.
  /// Errors: timeout (no room until `deadline`), cancelled, shutdown.
  [[nodiscard]] Result<void> submit_wait(Job job, MonoTime deadline = MonoTime::max(),
                                         const std::stop_token& stop = {});

  /// Accepts no more. Blocking: until the jobs that run, and by choice those that wait, have ended; called by a job of
  /// its own it does not wait. May be called again, also to discard what still waits.
  void stop(QueuedJobs queued = QueuedJobs::run);

  /// Jobs that wait now.
  [[nodiscard]] std::size_t queued() const { return stats().queued; }
  [[nodiscard]] WorkerPoolStats stats() const;

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace conntrace
