// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

#include "conntrace/clock.h"
#include "conntrace/unique_fd.h"

namespace conntrace::transport {

/// Somebody whose descriptor is watched.
class IoHandler {
 public:
  virtual void on_io(std::uint32_t epoll_events) = 0;

 protected:
  ~IoHandler() = default;
};

/// One thread's epoll, timers and inbox.
///
/// A turn: descriptors that are ready, then timers that are due, then what other threads posted. `start_of_turn` is
/// told when the descriptors were asked; `end_of_turn` comes last. Descriptors come first so that a peer's FIN that has
/// arrived is known before any new request chooses a connection.
///
/// Threading: post(), wake(), stop() and on_loop_thread() from any thread; the rest on the loop's thread.
/// Lifetime:  a handler may be removed at any time, also by another handler in the same turn.
class EventLoop {
 public:
  using Timer = std::pair<MonoTime, std::uint64_t>;

  /// Throws std::system_error if the kernel gives no epoll or eventfd.
  EventLoop();

  /// False: the kernel refused (ENOMEM, ENOSPC); errno says which.
  [[nodiscard]] bool add(int fd, std::uint32_t epoll_events, IoHandler* handler);
  [[nodiscard]] bool modify(int fd, std::uint32_t epoll_events, IoHandler* handler);
  /// Must come before the descriptor is closed.
  void remove(int fd, IoHandler* handler);
  /// The same for a descriptor that is closed already.
  void forget(IoHandler* handler) { removed_in_turn_.push_back(handler); }

  [[nodiscard]] Timer set_timer(MonoTime at, std::function<void()> run);
  /// A timer that has run, or Timer{}, is ignored.
  void cancel_timer(const Timer& timer) {
    if (timer != Timer{}) timers_.erase(timer);
  }

  void post(std::function<void()> task);
  /// Makes the loop take a turn soon. Cheap when it is awake.
  void wake();
  [[nodiscard]] bool on_loop_thread() const { return std::this_thread::get_id() == thread_.load(); }

  /// Runs until stop(); then what was posted before is run, and it returns.
  void run(const std::function<void(MonoTime)>& start_of_turn, const std::function<void()>& end_of_turn);
  void stop();

 private:
  void turn(const std::function<void(MonoTime)>& start_of_turn);
  void run_timers();
  void run_posted();
  [[nodiscard]] int timeout_ms() const;

  UniqueFd epoll_;
  UniqueFd wake_fd_;
  std::atomic<bool> wake_pending_ = false;
  std::atomic<bool> stopping_ = false;
  std::atomic<std::thread::id> thread_;
  std::map<Timer, std::function<void()>> timers_;
  std::uint64_t next_timer_ = 1;
  std::mutex mutex_;
  std::vector<std::function<void()>> posted_;
  std::vector<IoHandler*> removed_in_turn_;
};

}  // namespace conntrace::transport
