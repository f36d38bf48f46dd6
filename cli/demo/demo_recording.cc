// SPDX-License-Identifier: Apache-2.0
#include "demo/demo_recording.h"

#include <unistd.h>

#include <algorithm>
#include <utility>

#include "conntrace/event_json.h"
#include "sources/record_reader.h"

namespace conntrace::cli {

void MemorySink::write(std::string_view lines, std::uint64_t) {
  const std::lock_guard lock(mutex_);
  lines_ += lines;
}

std::string MemorySink::take() {
  const std::lock_guard lock(mutex_);
  return std::exchange(lines_, {});
}

DemoRecording::DemoRecording() {
  const EventSink keep = [this](const Event& event) { events_.push_back(own(event)); };
  agent::ObserverOptions options;
  options.selection = {.pids = {::getpid()}, .follow_children = false};
  options.census_interval_ms = 20;  // the demo's requests are short
  // Its stream must be there before its first event, and must not be there if it does not start.
  std::vector<Event> early;
  auto observer = agent::Observer::open(
      options, [this, &early](const Event& event) { stream_ ? stream_->add(event) : early.push_back(own(event)); });
  if (observer) {
    stream_ = std::make_unique<Stream>(Source::kernel, keep);
    for (const Event& event : early) stream_->add(event);
    observer_ = std::move(*observer);
    for (const agent::HookProbe& probe : observer_->missing()) {
      missing_.push_back(probe.gives + ": " + probe.name + " (" + probe.error + ")");
    }
    if (auto polled = observer_->poll(0); !polled) failed_ = std::move(polled).error();
    poller_ = std::jthread([this](const std::stop_token& stop) { poll(stop); });
  } else {
    stream_ = std::make_unique<Stream>(Source::proc, keep);
    missing_.push_back("what the kernel saw: " + observer.error().message());
    census();
  }
  recorder_->add_sink(sink_);
}

void DemoRecording::poll(const std::stop_token& stop) {
  while (!stop.stop_requested() && !failed_) {
    if (auto polled = observer_->poll(10); !polled) failed_ = std::move(polled).error();
  }
}

void DemoRecording::census() {
  if (auto event = agent::proc_fd_census(::getpid())) {
    stream_->add(*event);
  } else {
    missing_.push_back("descriptors: " + event.error().message());
  }
}

Result<std::vector<Event>> DemoRecording::end() {
  recorder_->remove_sink(sink_);
  recorder_.reset();
  std::uint64_t lost = 0;
  if (observer_) {
    poller_.request_stop();
    poller_.join();
    if (failed_) return Failure(*std::move(failed_));
    if (auto drained = observer_->drain(); !drained) return Failure(std::move(drained).error());
    for (const agent::LossCounter& counter : observer_->stats().losses) lost += counter.count;
    observer_.reset();
  } else {
    census();
  }
  stream_->end(lost);

  RecordReader reader("the demo's own records");
  const auto keep = [this](Event&& event) { events_.push_back(std::move(event)); };
  if (auto fed = reader.feed(sink_->take(), keep); !fed) return Failure(std::move(fed).error());
  if (auto finished = reader.finish(keep); !finished) return Failure(std::move(finished).error());
  std::stable_sort(events_.begin(), events_.end(),
                   [](const Event& a, const Event& b) { return a.header.mono_ns < b.header.mono_ns; });
  return std::move(events_);
}

}  // namespace conntrace::cli
