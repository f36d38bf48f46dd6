// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <vector>

#include "timeline/engine.h"

namespace conntrace::cli {

/// Makes the phases of a request's last attempt.
///
/// blocked   from queue_enter to queue_leave: a limit bound. Cause "dial": from the begin of its own dial until another
///           connection came first (late binding). The dial's own dns, connect and tls are then no phases of this
///           request: it did not get what they made.
/// dns, connect, tls   of the dial whose connection it got, or whose failure it got; clipped to the time in which it
///           waited for that dial, which begins later than the dial if somebody else began it.
/// send      got_conn to wrote_request, or to the first byte if the response came before the request was written.
/// wait      to the first byte of the response; after a 100 (Continue) to the complete final head.
/// receive   to body_done. body_held: to body_closed, if the application kept it after the last byte.
/// What was going on when the attempt ended extends to its end. A phase whose beginning or end was lost is absent, and
/// timeline.unavailable says so.
class PhaseMaker {
 public:
  /// Moments of CLOCK_MONOTONIC. kernel reasons go to timeline.unavailable, sources to timeline.sources.
  PhaseMaker(const Engine& engine, const RequestState& request, const AttemptState& attempt, std::uint64_t end_ns,
             RequestTimeline& timeline);
  /// In order, without overlap, within the request.
  [[nodiscard]] std::vector<PhaseTimeline> make() &&;

 private:
  void add(Phase name, std::uint64_t from_ns, std::uint64_t to_ns, PhaseTimeline::Facts facts = {});
  void add_blocked();
  void add_late_binding(std::uint64_t from_ns);
  void add_dial(const DialState& dial, std::uint64_t from_ns);
  void add_exchange();
  [[nodiscard]] const DialState* waited_for_dial() const;
  [[nodiscard]] DnsFacts dns_of(const DialState& dial) const;
  [[nodiscard]] ConnectFacts connect_of(const DialState& dial) const;
  [[nodiscard]] std::int64_t relative(std::uint64_t mono_ns) const;

  const Engine& engine_;
  const RequestState& request_;
  const AttemptState& attempt_;
  std::uint64_t origin_ns_;
  std::uint64_t end_ns_;  ///< of the attempt
  std::uint64_t got_ns_;  ///< end of the search for a connection
  RequestTimeline& timeline_;
  std::vector<PhaseTimeline> phases_;
};

}  // namespace conntrace::cli
