// SPDX-License-Identifier: Apache-2.0
#include "conntrace/worker_pool.h"

#include <pthread.h>

#include <algorithm>
#include <deque>
#include <mutex>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

namespace conntrace {

class WorkerPool::Impl {
 public:
  Impl(WorkerPoolOptions options, Clock& clock)
      : options_(std::move(options)), clock_(clock), ready_(clock.make_condition()), space_(clock.make_condition()) {
    const std::size_t threads = std::max<std::size_t>(options_.threads, 1);
    threads_.reserve(threads);
    try {
      for (std::size_t i = 0; i < threads; ++i) threads_.emplace_back([this] { run(); });
    } catch (const std::system_error&) {
      stop(QueuedJobs::discard);
      throw;
    }
  }

  ~Impl() { stop(options_.at_end); }

  Result<void> submit(Job job) {
    const std::lock_guard lock(mutex_);
    if (stopping_) return refuse(Errc::shutdown);
    if (jobs_.size() >= options_.max_queue) return refuse(Errc::queue_full);
    push(std::move(job));
    return {};
  }

  Result<void> submit_wait(Job job, MonoTime deadline, const std::stop_token& stop) {
    const std::stop_callback wake(stop, [this] {
      const std::lock_guard lock(mutex_);
      space_->notify_all();
    });
    std::unique_lock lock(mutex_);  // released before `wake` is destroyed, which waits for its callback
    for (;;) {
      if (stopping_) return refuse(Errc::shutdown);
      if (stop.stop_requested()) return refuse(Errc::cancelled);
      if (jobs_.size() < options_.max_queue) break;
      if (clock_.now() >= deadline) return refuse(Errc::timeout);
      ++blocked_;
      space_->wait_until(lock, deadline);
      --blocked_;
    }
    push(std::move(job));
    return {};
  }

  void stop(QueuedJobs queued) {
    std::deque<Job> discarded;  // destroyed outside the lock
    {
      const std::lock_guard lock(mutex_);
      stopping_ = true;
      if (queued == QueuedJobs::discard) {
        discarded.swap(jobs_);
        stats_.discarded += discarded.size();
      }
      ready_->notify_all();
      space_->notify_all();
    }
    discarded.clear();
    if (working_for == this) return;
    const std::lock_guard lock(join_mutex_);
    for (std::thread& thread : threads_) {
      if (thread.joinable()) thread.join();
    }
  }

  WorkerPoolStats stats() const {
    const std::lock_guard lock(mutex_);
    WorkerPoolStats stats = stats_;
    stats.queued = jobs_.size();
    return stats;
  }

 private:
  // The mutex is held in these two. Notifying under it keeps the pool alive meanwhile: who ends it needs the mutex.
  void push(Job job) {
    jobs_.push_back(std::move(job));
    ++stats_.accepted;
    stats_.most_queued = std::max(stats_.most_queued, jobs_.size());
    ready_->notify_one();
  }
  tl::unexpected<Error> refuse(Errc code) {
    ++stats_.rejected;
    return Failure(make_error(code, "submit to " + options_.name));
  }

  void run() {
    pthread_setname_np(pthread_self(), options_.name.substr(0, 15).c_str());
    working_for = this;
    std::unique_lock lock(mutex_);
    for (;;) {
      while (jobs_.empty()) {
        if (stopping_) return;
        ready_->wait_until(lock, MonoTime::max());
      }
      Job job = std::move(jobs_.front());
      jobs_.pop_front();
      if (blocked_ > 0) space_->notify_all();
      ++stats_.running;
      lock.unlock();
      bool failed = false;
      try {
        job();
      } catch (...) {
        failed = true;
      }
      job = nullptr;  // what the job captured is freed outside the lock
      lock.lock();
      --stats_.running;
      ++stats_.completed;
      if (failed) ++stats_.failed;
    }
  }

  static thread_local const Impl* working_for;

  const WorkerPoolOptions options_;
  Clock& clock_;
  mutable std::mutex mutex_;
  const std::unique_ptr<Clock::Condition> ready_;  ///< a job is there, or the end
  const std::unique_ptr<Clock::Condition> space_;  ///< there is room, or the end, or a stop
  std::deque<Job> jobs_;
  std::size_t blocked_ = 0;  ///< threads that wait for space_
  WorkerPoolStats stats_;    ///< but for `queued`
  bool stopping_ = false;
  std::mutex join_mutex_;
  std::vector<std::thread> threads_;
};

thread_local const WorkerPool::Impl* WorkerPool::Impl::working_for = nullptr;

WorkerPool::WorkerPool(WorkerPoolOptions options, Clock& clock)
    : impl_(std::make_unique<Impl>(std::move(options), clock)) {}
WorkerPool::~WorkerPool() = default;
Result<void> WorkerPool::submit(Job job) { return impl_->submit(std::move(job)); }
Result<void> WorkerPool::submit_wait(Job job, MonoTime deadline, const std::stop_token& stop) {
  return impl_->submit_wait(std::move(job), deadline, stop);
}
void WorkerPool::stop(QueuedJobs queued) { impl_->stop(queued); }
WorkerPoolStats WorkerPool::stats() const { return impl_->stats(); }

}  // namespace conntrace
