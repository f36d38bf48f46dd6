// SPDX-License-Identifier: Apache-2.0
#include "timeline/phases.h"

#include <algorithm>

namespace conntrace::cli {
namespace {

std::optional<std::string> said(const std::string& text) {
  return text.empty() ? std::nullopt : std::optional<std::string>(text);
}

}  // namespace

PhaseMaker::PhaseMaker(const Engine& engine, const RequestState& request, const AttemptState& attempt,
                       std::uint64_t end_ns, RequestTimeline& timeline)
    : engine_(engine),
      request_(request),
      attempt_(attempt),
      origin_ns_(timeline.start_mono_ns),
      end_ns_(end_ns),
      got_ns_(attempt.got_conn_ns != 0 ? attempt.got_conn_ns : attempt.failed_ns),
      timeline_(timeline) {
  if (got_ns_ == 0 || got_ns_ > end_ns_) got_ns_ = end_ns_;
}

std::int64_t PhaseMaker::relative(std::uint64_t mono_ns) const {
  return static_cast<std::int64_t>(mono_ns - origin_ns_);
}

std::vector<PhaseTimeline> PhaseMaker::make() && {
  add_blocked();
  std::uint64_t from_ns = attempt_.get_conn_ns;
  for (const QueueWait& wait : attempt_.waits)
    from_ns = std::max(from_ns, wait.leave_ns != 0 ? wait.leave_ns : end_ns_);
  if (const DialState* dial = waited_for_dial()) {
    add_dial(*dial, from_ns);
  } else {
    add_late_binding(from_ns);
  }
  if (attempt_.socket) add_exchange();

  std::ranges::stable_sort(phases_, {}, &PhaseTimeline::start_ns);
  std::uint64_t free_ns = 0;  // sources of different clocks' reads may differ by little: never let phases overlap
  for (PhaseTimeline& phase : phases_) {
    const std::uint64_t stop_ns = std::max(phase.end_ns(), free_ns);
    phase.start_ns = std::max(phase.start_ns, free_ns);
    phase.duration_ns = stop_ns - phase.start_ns;
    free_ns = stop_ns;
  }
  return std::move(phases_);
}

void PhaseMaker::add(Phase name, std::uint64_t from_ns, std::uint64_t to_ns, PhaseTimeline::Facts facts) {
  from_ns = std::clamp(from_ns, origin_ns_, end_ns_);
  to_ns = std::clamp(to_ns, from_ns, end_ns_);
  phases_.push_back({name, from_ns - origin_ns_, to_ns - from_ns, std::move(facts)});
}

void PhaseMaker::add_blocked() {
  const ProcessState& process = *request_.process;
  for (const QueueWait& wait : attempt_.waits) {
    BlockedFacts facts{.cause = std::string(to_string(wait.limit))};
    facts.limit = wait.limit_value;
    facts.position = wait.position;
    facts.depth = wait.depth;
    facts.outcome = wait.outcome;
    facts.others_share = wait.others_share;
    if (wait.released_by) facts.released_by = engine_.request_id(process, *wait.released_by);
    for (const Holder& holder : wait.holders) {
      HolderShare share{.connection = holder.connection, .doing = holder.doing, .share = holder.share};
      if (holder.request) share.request = engine_.request_id(process, *holder.request);
      facts.holders.push_back(std::move(share));
    }
    add(Phase::blocked, wait.enter_ns, wait.leave_ns != 0 ? wait.leave_ns : end_ns_, std::move(facts));
  }
}

const DialState* PhaseMaker::waited_for_dial() const {
  if (attempt_.got_conn_ns == 0) return attempt_.own_dials.empty() ? nullptr : attempt_.own_dials.back().get();
  const bool fresh = attempt_.connection.reused == false;
  return fresh && attempt_.dial ? attempt_.dial.get() : nullptr;
}

void PhaseMaker::add_late_binding(std::uint64_t from_ns) {
  if (attempt_.own_dials.empty() || attempt_.got_conn_ns == 0) return;
  const DialState& dial = *attempt_.own_dials.back();
  BlockedFacts facts{.cause = "dial", .own_dial = dial.number};
  if (attempt_.handed_by) {
    facts.outcome = QueueOutcome::handoff;
    facts.released_by = engine_.request_id(*request_.process, *attempt_.handed_by);
  }
  add(Phase::blocked, std::max(from_ns, dial.began_ns), got_ns_, std::move(facts));
}

void PhaseMaker::add_dial(const DialState& dial, std::uint64_t from_ns) {
  // What was over before the request began to wait for this dial did not cost it anything.
  const auto waited = [&](std::uint64_t start, std::uint64_t end) {
    return start != 0 && (end > from_ns || start >= from_ns) && start <= got_ns_;
  };
  const auto stop = [&](std::uint64_t end) { return end == 0 ? got_ns_ : std::min(end, got_ns_); };
  const auto begin = [&](std::uint64_t start) { return std::max(start, from_ns); };
  if (waited(dial.dns_start_ns, stop(dial.dns_done_ns)))
    add(Phase::dns, begin(dial.dns_start_ns), stop(dial.dns_done_ns), dns_of(dial));
  if (!dial.tries.empty()) {
    std::uint64_t connected_ns = 0;
    for (const ConnectTry& attempt : dial.tries) {
      const bool won = attempt.socket == dial.socket && attempt.end_ns != 0;
      if (won) connected_ns = attempt.end_ns;
    }
    if (connected_ns == 0) {
      for (const ConnectTry& attempt : dial.tries) connected_ns = std::max(connected_ns, stop(attempt.end_ns));
    }
    const std::uint64_t start = dial.tries.front().start_ns;
    if (waited(start, stop(connected_ns))) add(Phase::connect, begin(start), stop(connected_ns), connect_of(dial));
  }
  const auto add_handshake = [&](const DialState::Handshake& handshake) {
    if (waited(handshake.start_ns, stop(handshake.done_ns)))
      add(Phase::tls, begin(handshake.start_ns), stop(handshake.done_ns), handshake.facts);
  };
  for (const DialState::Handshake& handshake : dial.handshakes) {
    if (handshake.start_ns < dial.proxy_start_ns) add_handshake(handshake);
  }
  if (waited(dial.proxy_start_ns, stop(dial.proxy_done_ns)))
    add(Phase::proxy, begin(dial.proxy_start_ns), stop(dial.proxy_done_ns), dial.proxy);
  for (const DialState::Handshake& handshake : dial.handshakes) {
    if (handshake.start_ns >= dial.proxy_start_ns) add_handshake(handshake);
  }
}

DnsFacts PhaseMaker::dns_of(const DialState& dial) const {
  DnsFacts facts{.host = said(dial.dns_host), .addresses = dial.dns_addresses, .error = said(dial.dns_error)};
  if (dial.dns_done_ns != 0) facts.coalesced = dial.dns_coalesced;
  const ProcessState& process = *request_.process;
  if (process.by_kernel && dial.resolver_tid != 0) {
    facts.kernel = KernelDns{engine_.lookups_of(dial, origin_ns_)};
  } else if (!process.by_kernel) {
    timeline_.unavailable["phases.dns.kernel"] = engine_.no_kernel(process);
  } else {
    timeline_.unavailable["phases.dns.kernel"] = "the library did not say which thread looked the name up";
  }
  return facts;
}

ConnectFacts PhaseMaker::connect_of(const DialState& dial) const {
  ConnectFacts facts;
  for (const ConnectTry& seen : dial.tries) {
    ConnectAttempt attempt{.address = seen.address, .start_ns = relative(seen.start_ns), .error = said(seen.error)};
    if (seen.end_ns != 0) attempt.duration_ns = seen.end_ns - seen.start_ns;
    if (seen.error_number != 0) attempt.error_number = seen.error_number;
    const SocketState& socket = *seen.socket;
    if (socket.cookie != 0) attempt.cookie = socket.cookie;
    if (socket.by_kernel) {
      KernelConnect& kernel = attempt.kernel.emplace();
      if (socket.syn_ns != 0) kernel.syn_ns = relative(socket.syn_ns);
      if (socket.established_ns != 0) kernel.established_ns = relative(socket.established_ns);
      kernel.syn_retransmits = socket.syn_retransmits;
      if (socket.srtt_us != 0) kernel.srtt_us = socket.srtt_us;
    } else {
      timeline_.unavailable["phases.connect.attempts.kernel"] = engine_.no_kernel(*request_.process);
    }
    facts.attempts.push_back(std::move(attempt));
  }
  return facts;
}

void PhaseMaker::add_exchange() {
  const auto seen = [&](std::uint64_t moment) { return moment != 0 && moment <= end_ns_; };
  const std::uint64_t wrote = attempt_.wrote_request_ns;
  std::uint64_t first = attempt_.first_byte_ns;
  // The first byte was that of a 100 which let the body go: the final response's is known by its head only.
  const bool asked_to_continue = attempt_.interim_ns != 0 && seen(wrote) && first < wrote;
  if (asked_to_continue) first = attempt_.head_ns;

  const bool answered = attempt_.head_ns != 0 || attempt_.body_done_ns != 0 || request_.status != 0;
  const bool known = attempt_.got_conn_ns != 0 && (seen(wrote) || !answered);
  if (known) {
    std::uint64_t sent = seen(wrote) ? wrote : end_ns_;
    if (seen(first)) sent = std::min(sent, first);
    add(Phase::send, attempt_.got_conn_ns, sent);
    if (seen(first) && sent < first) add(Phase::wait, sent, first);
    if (!seen(first) && !answered && seen(wrote)) add(Phase::wait, sent, end_ns_);
  }
  const bool moments_lost = !known || (answered && !seen(first));
  if (moments_lost) timeline_.unavailable.try_emplace("phases", "records of the exchange were lost or are missing");
  if (!seen(first)) return;
  const std::uint64_t received = seen(attempt_.body_done_ns) ? attempt_.body_done_ns : end_ns_;
  add(Phase::receive, first, received);
  if (seen(attempt_.body_closed_ns) && attempt_.body_closed_ns > received)
    add(Phase::body_held, received, attempt_.body_closed_ns);
}

}  // namespace conntrace::cli
