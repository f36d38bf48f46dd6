// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <string>

namespace conntrace {

struct WorkerPoolOptions {
  std::size_t threads = 4;
  std::size_t max_queue = 1024;         ///< jobs that wait; running ones do not count
  std::string name = "conntrace-work";  ///< of the threads, as ps shows it (15 bytes)
};

/// A fixed number of threads for blocking work, behind a bounded queue, first in, first out.
///
/// Threading: any thread may submit, also a job. Lifetime: the destructor runs what was accepted, then joins.
/// Blocking:  submit() never blocks. Errors: a full queue is false, and the job is not taken. A job must not throw.
class WorkerPool {
 public:
  explicit WorkerPool(WorkerPoolOptions options);
  ~WorkerPool();
  WorkerPool(const WorkerPool&) = delete;
  WorkerPool& operator=(const WorkerPool&) = delete;

  [[nodiscard]] bool submit(std::function<void()> job);
  /// Jobs that wait now.
  [[nodiscard]] std::size_t queued() const;

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace conntrace
