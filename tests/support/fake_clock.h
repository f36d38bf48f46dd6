// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <condition_variable>
#include <cstddef>
#include <list>
#include <mutex>

#include "conntrace/clock.h"

namespace conntrace::testing {

/// A clock that stands still until the test moves it, and that knows who waits by it (Go: testing/synctest).
///
/// A thread that was notified, or whose deadline has come, no longer counts as waiting, even before it runs. So after
/// wait_until_idle(n) everything that those n threads had to do is done.
class FakeClock final : public Clock {
 public:
  /// Starts at one hour; its wall clock at 2000-01-01T00:00:00Z.
  FakeClock() = default;

  MonoTime now() const noexcept override;
  std::chrono::nanoseconds wall_now() const noexcept override;
  /// Of its waiters, notify_one wakes the one that waits longest.
  std::unique_ptr<Condition> make_condition() override;

  /// At once to now + `time`; who waits for a moment up to then wakes.
  void advance(std::chrono::nanoseconds time);
  /// To the next moment that somebody waits for. False: nobody waits for one.
  [[nodiscard]] bool advance_to_next();

  /// Threads that wait now.
  [[nodiscard]] std::size_t waiting() const;
  /// Blocking: until at least `threads` wait. False: they did not within kDeadline of real time.
  [[nodiscard]] bool wait_until_idle(std::size_t threads);

 private:
  class FakeCondition;
  struct Waiter {
    const FakeCondition* on;
    MonoTime deadline;
    bool woken = false;
    std::condition_variable wake{};
  };
  void move_to(MonoTime time);
  [[nodiscard]] std::size_t count() const;

  mutable std::mutex mutex_;
  std::condition_variable changed_;
  MonoTime now_ = std::chrono::hours(1);
  std::list<Waiter*> waiters_;  ///< those woken, too, until they run; in the order of their coming
};

}  // namespace conntrace::testing
