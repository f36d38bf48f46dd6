// SPDX-License-Identifier: Apache-2.0
#include "conntrace/clock.h"

#include <fmt/format.h>
#include <time.h>

#include <condition_variable>
#include <new>

namespace conntrace {
namespace {

std::chrono::nanoseconds read_clock(clockid_t clock) noexcept {
  timespec now{};
  clock_gettime(clock, &now);
  return std::chrono::seconds(now.tv_sec) + std::chrono::nanoseconds(now.tv_nsec);
}

class RealCondition final : public Clock::Condition {
 public:
  void notify_one() noexcept override { condition_.notify_one(); }
  void notify_all() noexcept override { condition_.notify_all(); }
  void wait_until(std::unique_lock<std::mutex>& lock, MonoTime deadline) override {
    if (deadline == MonoTime::max()) return condition_.wait(lock);
    // libstdc++'s steady_clock is CLOCK_MONOTONIC, with the same zero.
    condition_.wait_until(lock, std::chrono::steady_clock::time_point(deadline));
  }

 private:
  std::condition_variable condition_;
};

class RealClock final : public Clock {
 public:
  MonoTime now() const noexcept override { return mono_now(); }
  std::chrono::nanoseconds wall_now() const noexcept override { return read_clock(CLOCK_REALTIME); }
  std::unique_ptr<Condition> make_condition() override { return std::make_unique<RealCondition>(); }
};

}  // namespace

MonoTime mono_now() noexcept { return read_clock(CLOCK_MONOTONIC); }

ClockPair clock_pair_now() noexcept {
  // The wall clock is read between two readings of the other; their middle is its moment.
  const MonoTime before = mono_now();
  const auto wall = read_clock(CLOCK_REALTIME);
  const MonoTime after = mono_now();
  return {before + (after - before) / 2, wall};
}

bool Clock::sleep_until(MonoTime deadline, const std::stop_token& stop) {
  std::mutex mutex;
  const std::unique_ptr<Condition> condition = make_condition();
  const std::stop_callback wake(stop, [&] {
    const std::lock_guard lock(mutex);
    condition->notify_all();
  });
  std::unique_lock lock(mutex);  // released before `wake` is destroyed, which waits for its callback
  while (!stop.stop_requested()) {
    if (now() >= deadline) return true;
    condition->wait_until(lock, deadline);
  }
  return false;
}

Clock& real_clock() noexcept {
  // Never destroyed: threads may outlive the statics of a program.
  alignas(RealClock) static unsigned char storage[sizeof(RealClock)];
  static RealClock* const clock = new (storage) RealClock;
  return *clock;
}

std::string rfc3339(std::chrono::nanoseconds wall) {
  const auto seconds = std::chrono::floor<std::chrono::seconds>(wall);
  const time_t time = seconds.count();
  tm utc{};
  gmtime_r(&time, &utc);
  return fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:09}Z", utc.tm_year + 1900, utc.tm_mon + 1, utc.tm_mday,
                     utc.tm_hour, utc.tm_min, utc.tm_sec, (wall - seconds).count());
}

}  // namespace conntrace
