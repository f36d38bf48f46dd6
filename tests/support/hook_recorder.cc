// SPDX-License-Identifier: Apache-2.0
#include "support/hook_recorder.h"

#include <cmath>
#include <map>
#include <set>

#include "record/every_hook.h"
#include "support/deadline.h"

namespace conntrace::test {
namespace {

struct Span {
  EventKind start;
  std::vector<EventKind> ends;
};

const std::vector<Span>& spans() {
  using enum EventKind;
  static const std::vector<Span> list = {
      {request_start, {request_done}},
      {queue_enter, {queue_leave}},
      {why_new, {dial_done}},
      {dns_start, {dns_done}},
      {connect_start, {connect_done}},
      {proxy_connect_start, {proxy_connect_done}},
      {tls_handshake_start, {tls_handshake_done}},
      {get_conn, {got_conn, get_conn_failed}},
      {response_head, {body_done}},
      {got_conn, {wrote_request}},
  };
  return list;
}

}  // namespace

HookRecorder::HookRecorder()
    : trace_(every_hook([this]<EventKind kind>(const HookContext& context, const PayloadOf<kind>& payload) {
        keep<kind>(context, payload);
      })) {}

template <EventKind kind>
void HookRecorder::keep(const HookContext& context, const PayloadOf<kind>& payload) {
  if (in_each_hook_) in_each_hook_();
  EventHeader header;
  header.mono_ns = static_cast<std::uint64_t>(context.mono.count());
  header.request = context.request;
  header.attempt = context.attempt;
  header.connection = context.connection;
  header.cookie = context.cookie;
  header.netns = context.netns;
  Event event = own(make_event<kind>(header, payload));
  {
    const std::lock_guard lock(mutex_);
    events_.push_back(std::move(event));
  }
  grown_.notify_all();
}

std::vector<Event> HookRecorder::events() const {
  const std::lock_guard lock(mutex_);
  return events_;
}

bool HookRecorder::wait_for(const std::function<bool(const std::vector<Event>&)>& enough) const {
  std::unique_lock lock(mutex_);
  return grown_.wait_for(lock, testing::kDeadline, [&] { return enough(events_); });
}

bool HookRecorder::wait_for_count(EventKind kind, std::size_t count) const {
  return wait_for([&](const std::vector<Event>& events) {
    std::size_t found = 0;
    for (const Event& event : events) found += event.kind() == kind ? 1 : 0;
    return found >= count;
  });
}

std::string HookRecorder::sequence(RequestId request) const {
  std::string result;
  for (const Event& event : events()) {
    if (event.header.request != request || event.kind() == EventKind::wrote_header_field) continue;
    if (!result.empty()) result += ' ';
    result += to_string(event.kind());
  }
  return result;
}

std::size_t HookRecorder::count(EventKind kind) const {
  std::size_t found = 0;
  for (const Event& event : events()) found += event.kind() == kind ? 1 : 0;
  return found;
}

std::string HookRecorder::missing_reason() const {
  for (const ConnClosedInfo& closed : all<EventKind::conn_closed>()) {
    if (closed.reason == CloseReason::unknown) return "conn_closed without a reason";
  }
  for (const WhyNewInfo& dialled : all<EventKind::why_new>()) {
    if (dialled.reason == WhyNew::unknown) return "why_new without a reason";
  }
  for (const QueueLeaveInfo& wait : all<EventKind::queue_leave>()) {
    double shares = wait.others_share;
    for (const Holder& holder : wait.holders) shares += holder.share;
    // A wait for descriptors has no holders: the whole process has them. Nor has one that took no time.
    if (wait.holders.size() > 0 && std::abs(shares - 1) > 1e-6) {
      return "queue_leave whose holders account for " + std::to_string(shares) + " of the wait";
    }
  }
  return {};
}

std::string HookRecorder::broken_rule() const {
  if (std::string missing = missing_reason(); !missing.empty()) return missing;
  const std::vector<Event> events = this->events();
  std::set<std::uint64_t> done;
  for (const Event& event : events) {
    if (event.header.request != 0 && done.contains(event.header.request)) {
      return std::string(to_string(event.kind())) + " after request_done of " + std::to_string(event.header.request);
    }
    if (event.kind() == EventKind::request_done) done.insert(event.header.request);
  }
  for (const Span& span : spans()) {
    std::map<std::uint64_t, int> open;
    for (const Event& event : events) {
      // Dials outlive their request; they are told apart by connection. The rest belongs to a request.
      const bool of_dial = span.start == EventKind::why_new || span.start == EventKind::dns_start ||
                           span.start == EventKind::connect_start || span.start == EventKind::proxy_connect_start ||
                           span.start == EventKind::tls_handshake_start;
      const std::uint64_t owner = of_dial ? event.header.connection : event.header.request;
      if (event.kind() == span.start) ++open[owner];
      for (const EventKind end : span.ends) {
        if (event.kind() == end && --open[owner] < 0) {
          return std::string(to_string(end)) + " without its start, of " + std::to_string(owner);
        }
      }
    }
    for (const auto& [owner, count] : open) {
      if (count != 0) return std::string(to_string(span.start)) + " without its done, of " + std::to_string(owner);
    }
  }
  return {};
}

std::string HookRecorder::dump() const {
  std::string lines;
  for (const Event& event : events()) append_json_line(event, lines);
  return lines;
}

}  // namespace conntrace::test
