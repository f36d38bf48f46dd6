// SPDX-License-Identifier: Apache-2.0
#include "conntrace/worker_pool.h"

#include <pthread.h>

#include <condition_variable>
#include <deque>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

namespace conntrace {

class WorkerPool::Impl {
 public:
  explicit Impl(WorkerPoolOptions options) : options_(std::move(options)) {
    threads_.reserve(options_.threads);
    for (std::size_t i = 0; i < options_.threads; ++i) threads_.emplace_back([this] { run(); });
  }

  ~Impl() {
    {
      const std::lock_guard lock(mutex_);
      stopping_ = true;
    }
    ready_.notify_all();
    for (std::thread& thread : threads_) thread.join();
  }

  bool submit(std::function<void()> job) {
    {
      const std::lock_guard lock(mutex_);
      if (stopping_ || jobs_.size() >= options_.max_queue) return false;
      jobs_.push_back(std::move(job));
    }
    ready_.notify_one();
    return true;
  }

  std::size_t queued() const {
    const std::lock_guard lock(mutex_);
    return jobs_.size();
  }

 private:
  void run() {
    pthread_setname_np(pthread_self(), options_.name.substr(0, 15).c_str());
    std::unique_lock lock(mutex_);
    for (;;) {
      ready_.wait(lock, [this] { return stopping_ || !jobs_.empty(); });
      if (jobs_.empty()) return;
      std::function<void()> job = std::move(jobs_.front());
      jobs_.pop_front();
      lock.unlock();
      job();
      job = nullptr;  // what the job captured is freed outside the lock
      lock.lock();
    }
  }

  const WorkerPoolOptions options_;
  mutable std::mutex mutex_;
  std::condition_variable ready_;
  std::deque<std::function<void()>> jobs_;
  bool stopping_ = false;
  std::vector<std::thread> threads_;
};

WorkerPool::WorkerPool(WorkerPoolOptions options) : impl_(std::make_unique<Impl>(std::move(options))) {}
WorkerPool::~WorkerPool() = default;
bool WorkerPool::submit(std::function<void()> job) { return impl_->submit(std::move(job)); }
std::size_t WorkerPool::queued() const { return impl_->queued(); }

}  // namespace conntrace
