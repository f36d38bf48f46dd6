// SPDX-License-Identifier: Apache-2.0
#include "timeline/merge_window.h"

#include <algorithm>
#include <tuple>

#include "conntrace/event_json.h"

namespace conntrace::cli {
namespace {

/// Streams and processes are introduced before what belongs to them; else the vocabulary's order, which follows a
/// request's life.
int rank(EventKind kind) {
  switch (kind) {
    case EventKind::stream_start: return -4;
    case EventKind::process_start: return -3;
    case EventKind::live_connection: return -2;
    case EventKind::live_request: return -1;
    default: return static_cast<int>(kind);
  }
}

auto key(const Event& event) {
  const EventHeader& h = event.header;
  return std::tuple(h.mono_ns, rank(event.kind()), h.pid, h.request, h.attempt, h.connection, h.cookie, h.netns, h.tid);
}

}  // namespace

bool MergeWindow::Later::operator()(const Event& a, const Event& b) const { return key(b) < key(a); }

void MergeWindow::push(const Event& event) {
  newest_ns_ = std::max(newest_ns_, event.header.mono_ns);
  heap_.push(own(event));
}

bool MergeWindow::pop_ready(Event& out) {
  if (heap_.empty() || heap_.top().header.mono_ns >= watermark_ns()) return false;
  return pop_any(out);
}

bool MergeWindow::pop_any(Event& out) {
  if (heap_.empty()) return false;
  out = heap_.top();
  heap_.pop();
  released_ns_ = std::max(released_ns_, out.header.mono_ns);
  return true;
}

void MergeWindow::advance(std::uint64_t now_ns) { newest_ns_ = std::max(newest_ns_, now_ns); }

}  // namespace conntrace::cli
