// SPDX-License-Identifier: Apache-2.0
#include "watch.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <chrono>
#include <stdexcept>

#include "conntrace/event_json.h"

namespace conntrace::bpftest {
namespace {

constexpr auto kPatience = std::chrono::seconds(20);

}  // namespace

agent::ObserverOptions Watch::options_for(std::vector<pid_t> pids) {
  agent::ObserverOptions options;
  options.selection.pids = std::move(pids);
  options.census_interval_ms = 0;
  options.io_pause_ns = 0;
  return options;
}

Watch::Watch(const agent::ObserverOptions& options) {
  auto opened = agent::Observer::open(options, [this](const Event& event) { events_.push_back(own(event)); });
  if (!opened) throw std::runtime_error(opened.error().message());
  observer_ = std::move(*opened);
}

Watch::Watch()
    : Watch([] {
        auto options = options_for({getpid()});
        options.selection.follow_children = false;
        return options;
      }()) {}

const Event* Watch::wait(const std::string& what, const Matches& matches) {
  const auto deadline = std::chrono::steady_clock::now() + kPatience;
  for (std::size_t next = 0;;) {
    for (; next < events_.size(); ++next) {
      if (matches(events_[next])) return &events_[next];
    }
    if (std::chrono::steady_clock::now() > deadline) break;
    if (auto polled = observer_->poll(50); !polled) {
      ADD_FAILURE() << polled.error().message();
      return nullptr;
    }
  }
  ADD_FAILURE() << "did not come: " << what << "\n" << dump();
  return nullptr;
}

void Watch::drain() {
  if (auto drained = observer_->drain(); !drained) ADD_FAILURE() << drained.error().message();
}

std::vector<const Event*> Watch::of(std::uint64_t cookie) const {
  std::vector<const Event*> found;
  for (const Event& event : events_) {
    if (event.header.cookie == cookie) found.push_back(&event);
  }
  return found;
}

std::uint64_t Watch::count(EventKind kind) const {
  std::uint64_t count = 0;
  for (const Event& event : events_) count += event.kind() == kind ? 1 : 0;
  return count;
}

std::string Watch::story(std::uint64_t cookie) const {
  std::string story;
  for (const Event* event : of(cookie)) {
    if (!story.empty()) story += ' ';
    const auto* state = get_if<EventKind::tcp_state>(*event);
    story += state != nullptr ? to_string(state->to) : to_string(event->kind());
  }
  return story;
}

std::string Watch::dump() const {
  std::string lines;
  for (const Event& event : events_) append_json_line(event, lines);
  return lines;
}

}  // namespace conntrace::bpftest
