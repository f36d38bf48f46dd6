// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "agent/observer.h"

namespace conntrace::bpftest {

/// An observer that keeps what it saw. Every wait has a deadline; one that passes it fails the test and prints all
/// events.
class Watch {
 public:
  using Matches = std::function<bool(const Event&)>;

  /// Nothing periodic: no census, unless the test asks for it. Every change of direction, however fast.
  static agent::ObserverOptions options_for(std::vector<pid_t> pids);

  explicit Watch(const agent::ObserverOptions& options);
  /// Of this process, without its children.
  Watch();

  [[nodiscard]] agent::Observer& observer() { return *observer_; }
  /// The first event that matches, now or later; nullptr (and a failure) if it does not come.
  const Event* wait(const std::string& what, const Matches& matches);
  template <EventKind kind>
  const PayloadOf<kind>* wait_for(std::uint64_t cookie) {
    const Event* event = wait(std::string(to_string(kind)) + " of cookie " + std::to_string(cookie),
                              [&](const Event& e) { return e.kind() == kind && e.header.cookie == cookie; });
    return event == nullptr ? nullptr : get_if<kind>(*event);
  }
  /// Everything that happened before is seen when it returns.
  void drain();

  [[nodiscard]] const std::deque<Event>& events() const { return events_; }
  [[nodiscard]] std::vector<const Event*> of(std::uint64_t cookie) const;
  [[nodiscard]] std::uint64_t count(EventKind kind) const;
  /// "tcp_connect tcp_established FIN_WAIT1 … tcp_closed": kinds, and states that were reached, of one socket.
  [[nodiscard]] std::string story(std::uint64_t cookie) const;
  /// All events as JSON Lines, for failures.
  [[nodiscard]] std::string dump() const;

 private:
  std::deque<Event> events_;
  std::unique_ptr<agent::Observer> observer_;
};

}  // namespace conntrace::bpftest
