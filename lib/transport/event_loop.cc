// SPDX-License-Identifier: Apache-2.0
#include "transport/event_loop.h"

#include <sys/epoll.h>
#include <sys/eventfd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <climits>
#include <system_error>

namespace conntrace::transport {
namespace {

constexpr int kEventsPerTurn = 256;

bool control(int epoll, int operation, int fd, std::uint32_t events, IoHandler* handler) {
  epoll_event event{};
  event.events = events;
  event.data.ptr = handler;
  return epoll_ctl(epoll, operation, fd, &event) == 0;
}

}  // namespace

EventLoop::EventLoop() : epoll_(epoll_create1(EPOLL_CLOEXEC)), wake_fd_(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
  if (!epoll_.valid() || !wake_fd_.valid() || !control(epoll_.get(), EPOLL_CTL_ADD, wake_fd_.get(), EPOLLIN, nullptr)) {
    throw std::system_error(errno, std::system_category(), "event loop");
  }
}

bool EventLoop::add(int fd, std::uint32_t epoll_events, IoHandler* handler) {
  return control(epoll_.get(), EPOLL_CTL_ADD, fd, epoll_events, handler);
}

bool EventLoop::modify(int fd, std::uint32_t epoll_events, IoHandler* handler) {
  return control(epoll_.get(), EPOLL_CTL_MOD, fd, epoll_events, handler);
}

void EventLoop::remove(int fd, IoHandler* handler) {
  control(epoll_.get(), EPOLL_CTL_DEL, fd, 0, nullptr);
  removed_in_turn_.push_back(handler);
}

EventLoop::Timer EventLoop::set_timer(MonoTime at, std::function<void()> run) {
  const Timer timer{at, next_timer_++};
  timers_.emplace(timer, std::move(run));
  return timer;
}

void EventLoop::post(std::function<void()> task) {
  {
    const std::lock_guard lock(mutex_);
    posted_.push_back(std::move(task));
  }
  wake();
}

void EventLoop::wake() {
  if (wake_pending_.exchange(true)) return;
  const std::uint64_t one = 1;
  // The counter cannot overflow: it is written at most once between two reads.
  [[maybe_unused]] const ssize_t written = write(wake_fd_.get(), &one, sizeof one);
}

void EventLoop::run(const std::function<void(MonoTime)>& start_of_turn, const std::function<void()>& end_of_turn) {
  thread_ = std::this_thread::get_id();
  while (!stopping_) {
    turn(start_of_turn);
    end_of_turn();
  }
  run_posted();
  end_of_turn();
}

void EventLoop::stop() {
  stopping_ = true;
  wake();
}

void EventLoop::turn(const std::function<void(MonoTime)>& start_of_turn) {
  std::array<epoll_event, kEventsPerTurn> events;
  const int count = epoll_wait(epoll_.get(), events.data(), kEventsPerTurn, timeout_ms());
  start_of_turn(mono_now());
  removed_in_turn_.clear();
  for (int i = 0; i < count; ++i) {
    auto* handler = static_cast<IoHandler*>(events[i].data.ptr);
    if (handler == nullptr) {
      std::uint64_t counter = 0;
      [[maybe_unused]] const ssize_t got = read(wake_fd_.get(), &counter, sizeof counter);
      wake_pending_ = false;
      continue;
    }
    if (std::find(removed_in_turn_.begin(), removed_in_turn_.end(), handler) != removed_in_turn_.end()) continue;
    handler->on_io(events[i].events);
  }
  run_timers();
  run_posted();
}

void EventLoop::run_timers() {
  if (timers_.empty()) return;
  const MonoTime now = mono_now();
  while (!timers_.empty() && timers_.begin()->first.first <= now) {
    auto node = timers_.extract(timers_.begin());
    node.mapped()();
  }
}

void EventLoop::run_posted() {
  std::vector<std::function<void()>> tasks;
  {
    const std::lock_guard lock(mutex_);
    tasks.swap(posted_);
  }
  for (const auto& task : tasks) task();
}

int EventLoop::timeout_ms() const {
  if (timers_.empty()) return -1;
  const MonoTime left = timers_.begin()->first.first - mono_now();
  if (left.count() <= 0) return 0;
  // Rounded up: a turn that comes too early would find nothing due and spin.
  const auto milliseconds = std::chrono::ceil<std::chrono::milliseconds>(left).count();
  return static_cast<int>(std::min<std::int64_t>(milliseconds, INT_MAX));
}

}  // namespace conntrace::transport
