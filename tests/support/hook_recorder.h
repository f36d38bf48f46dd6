// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "conntrace/client_trace.h"
#include "conntrace/event_json.h"
#include "conntrace/transport.h"

namespace conntrace::test {

/// Keeps every hook call as an Event with its own storage, in order, and checks what must hold of any sequence.
class HookRecorder {
 public:
  HookRecorder();

  [[nodiscard]] std::shared_ptr<const ClientTrace> trace() const { return trace_; }
  /// Runs in each hook; for proving that none is called under a lock.
  void in_each_hook(std::function<void()> call) { in_each_hook_ = std::move(call); }

  [[nodiscard]] std::vector<Event> events() const;
  /// Waits until `enough` says so of what has been recorded; false after kDeadline.
  [[nodiscard]] bool wait_for(const std::function<bool(const std::vector<Event>&)>& enough) const;
  [[nodiscard]] bool wait_for_count(EventKind kind, std::size_t count) const;
  /// The kinds of one request's (or, with 0, of no request's) calls, joined by blanks.
  [[nodiscard]] std::string sequence(RequestId request) const;
  [[nodiscard]] std::size_t count(EventKind kind) const;
  /// The first payload of a kind of this request, or nullptr. Valid while the recorder lives and grows no further.
  template <EventKind kind>
  [[nodiscard]] std::vector<PayloadOf<kind>> all(RequestId request = 0) const {
    std::vector<PayloadOf<kind>> found;
    for (const Event& event : events()) {
      if (request != 0 && event.header.request != request) continue;
      if (const auto* payload = get_if<kind>(event)) found.push_back(*payload);
    }
    return found;
  }
  /// Empty, or the first rule that the calls so far break: each start has one done, nothing follows request_done, every
  /// close and every dial has a reason, and holders account for the whole of a wait.
  [[nodiscard]] std::string broken_rule() const;
  /// Every call as a JSON line; for failure messages.
  [[nodiscard]] std::string dump() const;

 private:
  template <EventKind kind>
  void keep(const HookContext& context, const PayloadOf<kind>& payload);
  [[nodiscard]] std::string missing_reason() const;

  const std::shared_ptr<const ClientTrace> trace_;
  std::function<void()> in_each_hook_;
  mutable std::mutex mutex_;
  mutable std::condition_variable grown_;
  std::vector<Event> events_;
};

}  // namespace conntrace::test
