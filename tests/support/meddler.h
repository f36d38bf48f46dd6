// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <condition_variable>
#include <functional>
#include <map>
#include <mutex>
#include <thread>
#include <utility>

namespace conntrace::test {

/// A thread that does things when nobody expects them.
class Meddler {
 public:
  Meddler() : thread_([this] { run(); }) {}
  ~Meddler() {
    finish();
    {
      const std::lock_guard lock(mutex_);
      ending_ = true;
    }
    changed_.notify_all();
    thread_.join();
  }
  Meddler(const Meddler&) = delete;
  Meddler& operator=(const Meddler&) = delete;

  void after(std::chrono::microseconds delay, std::function<void()> task) {
    {
      const std::lock_guard lock(mutex_);
      tasks_.emplace(std::chrono::steady_clock::now() + delay, std::move(task));
    }
    changed_.notify_all();
  }
  /// Does at once what is left, and returns when it is done.
  void finish() {
    std::unique_lock lock(mutex_);
    hurrying_ = true;
    changed_.notify_all();
    changed_.wait(lock, [this] { return tasks_.empty() && !busy_; });
    hurrying_ = false;
  }

 private:
  void run() {
    std::unique_lock lock(mutex_);
    for (;;) {
      if (tasks_.empty()) {
        if (ending_) return;
        changed_.wait(lock);
      } else if (!hurrying_ && tasks_.begin()->first > std::chrono::steady_clock::now()) {
        changed_.wait_until(lock, tasks_.begin()->first);
      } else {
        std::function<void()> task = std::move(tasks_.extract(tasks_.begin()).mapped());
        busy_ = true;
        lock.unlock();
        std::exchange(task, {})();
        lock.lock();
        busy_ = false;
        changed_.notify_all();
      }
    }
  }

  std::mutex mutex_;
  std::condition_variable changed_;
  std::multimap<std::chrono::steady_clock::time_point, std::function<void()>> tasks_;
  bool busy_ = false;
  bool hurrying_ = false;
  bool ending_ = false;
  std::thread thread_;
};

}  // namespace conntrace::test
