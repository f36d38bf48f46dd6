// SPDX-License-Identifier: Apache-2.0
#include "support/fake_clock.h"

#include <algorithm>
#include <limits>

#include "support/deadline.h"

namespace conntrace::testing {

class FakeClock::FakeCondition final : public Clock::Condition {
 public:
  explicit FakeCondition(FakeClock& clock) : clock_(clock) {}
  void notify_one() noexcept override { notify(1); }
  void notify_all() noexcept override { notify(std::numeric_limits<std::size_t>::max()); }

  // The waiter is on the list before `lock` is released, so nobody who changes something under it can miss the waiter.
  void wait_until(std::unique_lock<std::mutex>& lock, MonoTime deadline) override {
    {
      std::unique_lock clock_lock(clock_.mutex_);
      if (deadline <= clock_.now_) return;
      Waiter self{.on = this, .deadline = deadline};
      clock_.waiters_.push_back(&self);
      clock_.changed_.notify_all();
      lock.unlock();
      self.wake.wait(clock_lock, [&] { return self.woken; });
      clock_.waiters_.remove(&self);
      clock_.changed_.notify_all();
    }
    lock.lock();
  }

 private:
  void notify(std::size_t most) {
    const std::lock_guard lock(clock_.mutex_);
    for (Waiter* waiter : clock_.waiters_) {
      if (most == 0) break;
      if (waiter->on != this || waiter->woken) continue;
      waiter->woken = true;
      waiter->wake.notify_one();
      --most;
    }
  }

  FakeClock& clock_;
};

MonoTime FakeClock::now() const noexcept {
  const std::lock_guard lock(mutex_);
  return now_;
}

std::chrono::nanoseconds FakeClock::wall_now() const noexcept {
  return std::chrono::sys_days(std::chrono::January / 1 / 2000).time_since_epoch() + now() - std::chrono::hours(1);
}

std::unique_ptr<Clock::Condition> FakeClock::make_condition() { return std::make_unique<FakeCondition>(*this); }

void FakeClock::advance(std::chrono::nanoseconds time) {
  const std::lock_guard lock(mutex_);
  move_to(now_ + time);
}

bool FakeClock::advance_to_next() {
  const std::lock_guard lock(mutex_);
  MonoTime next = MonoTime::max();
  for (const Waiter* waiter : waiters_) {
    if (!waiter->woken) next = std::min(next, waiter->deadline);
  }
  if (next == MonoTime::max()) return false;
  move_to(next);
  return true;
}

void FakeClock::move_to(MonoTime time) {
  now_ = time;
  for (Waiter* waiter : waiters_) {
    if (waiter->woken || waiter->deadline > now_) continue;
    waiter->woken = true;
    waiter->wake.notify_one();
  }
}

std::size_t FakeClock::count() const {
  return static_cast<std::size_t>(
      std::count_if(waiters_.begin(), waiters_.end(), [](const Waiter* waiter) { return !waiter->woken; }));
}

std::size_t FakeClock::waiting() const {
  const std::lock_guard lock(mutex_);
  return count();
}

bool FakeClock::wait_until_idle(std::size_t threads) {
  std::unique_lock lock(mutex_);
  return changed_.wait_for(lock, kDeadline, [&] { return count() >= threads; });
}

}  // namespace conntrace::testing
