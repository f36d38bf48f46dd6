// SPDX-License-Identifier: Apache-2.0
// What all timelines say alike: ids, wall time, the process, losses, and how a connection ended.
#include <fmt/format.h>

#include <algorithm>

#include "timeline/close_facts.h"
#include "timeline/engine.h"

namespace conntrace::cli {
namespace {

/// The library closed it by its own decision: it knows why for sure, and `inferred` was about who was first.
bool own_decision(CloseReason reason) {
  switch (reason) {
    case CloseReason::idle_timeout:
    case CloseReason::max_idle_conns:
    case CloseReason::max_idle_conns_per_host:
    case CloseReason::max_lifetime:
    case CloseReason::max_requests:
    case CloseReason::keep_alives_disabled:
    case CloseReason::connection_close_request:
    case CloseReason::connection_close_response:
    case CloseReason::close_idle_connections:
    case CloseReason::fd_pressure:
    case CloseReason::transport_shutdown: return true;
    default: return false;
  }
}

bool touches(const std::vector<LossSpan>& losses, std::uint64_t from_ns, std::uint64_t to_ns) {
  return std::ranges::any_of(losses, [&](const LossSpan& s) { return s.from_ns <= to_ns && s.to_ns >= from_ns; });
}

}  // namespace

std::string Engine::boot_prefix() const {
  std::string digits;
  for (const char c : boot_id_) {
    if (c != '-' && digits.size() < 8) digits += c;
  }
  return digits.empty() ? "unknown" : digits;
}

std::string Engine::process_id(const ProcessState& process) const {
  return fmt::format("{}-{}-{}", boot_prefix(), process.facts.pid, process.facts.start_time_ns.value_or(0));
}

std::string Engine::request_id(const ProcessState& process, std::uint64_t number) const {
  return fmt::format("{}/{}", process_id(process), number);
}

std::optional<std::string> Engine::wall_time(const ProcessState& process, std::uint64_t mono_ns) const {
  const std::optional<ClockPair>& clock = process.clock ? process.clock : clock_;
  if (!clock) return std::nullopt;
  // Records may say anything; what does not fit the calendar is no time.
  const auto ns = static_cast<__int128>(clock->wall.count()) + mono_ns - clock->mono.count();
  if (ns < 0 || ns > INT64_MAX) return std::nullopt;
  return rfc3339(std::chrono::nanoseconds(static_cast<std::int64_t>(ns)));
}

ProcessFacts Engine::facts_of(const ProcessState& process, Unavailable& unavailable) const {
  const ProcessFacts& facts = process.facts;
  const char* why = "no record of this process says it";
  if (!facts.comm) unavailable["process.comm"] = why;
  if (!facts.exe) unavailable["process.exe"] = why;
  if (!facts.start_time_ns) unavailable["process.start_time_ns"] = why;
  if (!facts.netns) unavailable["process.netns"] = why;
  if (!facts.cgroup) unavailable["process.cgroup"] = why;
  return facts;
}

bool Engine::touched(const ProcessState& process, std::uint64_t from_ns, std::uint64_t to_ns) const {
  return touches(losses_, from_ns, to_ns) || touches(process.losses, from_ns, to_ns);
}

std::string Engine::no_kernel(const ProcessState& process) const {
  if (!kernel_seen_) return "no kernel source: there are no records of the agent";
  if (!process.by_kernel) return "the kernel source did not observe this process";
  return "the kernel source has no record of this socket";
}

std::optional<ClosedFacts> Engine::closed_of(const SocketState& socket, std::uint64_t origin_ns) const {
  if (!socket.over()) return std::nullopt;
  ClosedFacts out;
  CloseView view;
  const CloseView kernel = kernel_view(socket.kernel_close);
  if (socket.hook_close) {
    view = hook_view(*socket.hook_close);
    out.reason = socket.hook_close->reason;
    out.inferred = socket.hook_close->inferred || (socket.hook_close->by_inferred && kernel.by == ClosedBy::unknown);
    if (socket.hook_close->error_number != 0) out.error_number = socket.hook_close->error_number;
  } else if (socket.kernel_close.connect_failed_ns != 0) {
    out.reason = CloseReason::dial_failed;
  }
  // The library knows why; who and how the kernel knows better, if it saw the transitions.
  if (kernel.by != ClosedBy::unknown) {
    view.by = kernel.by;
    if (own_decision(out.reason)) out.inferred = false;
  }
  if (kernel.how != CloseHow::unknown) view.how = kernel.how;
  if (kernel.at_ns != 0 && (kernel.by != ClosedBy::unknown || view.at_ns == 0)) view.at_ns = kernel.at_ns;
  if (socket.kernel_close.error_number != 0) out.error_number = socket.kernel_close.error_number;
  out.by = view.by;
  out.how = view.how;
  out.at_ns = static_cast<std::int64_t>(view.at_ns - origin_ns);
  return out;
}

std::vector<RejectedConnection> Engine::candidates_of(const ProcessState& process,
                                                      const std::vector<Candidate>& candidates,
                                                      std::uint64_t origin_ns) const {
  std::vector<RejectedConnection> out;
  for (const Candidate& candidate : candidates) {
    RejectedConnection& rejected = out.emplace_back();
    rejected.connection = candidate.connection;
    rejected.reason = candidate.reason;
    const auto known = process.dials.find(candidate.connection);
    if (known == process.dials.end() || !known->second->socket) continue;
    const SocketState& socket = *known->second->socket;
    if (socket.cookie != 0) rejected.cookie = socket.cookie;
    // A busy one may have ended since; that is not why it could not serve.
    const bool was_open = candidate.reason == WhyNew::all_busy || candidate.reason == WhyNew::key_differs;
    if (was_open) continue;
    rejected.closed = closed_of(socket, origin_ns);
    if (socket.hook_close) rejected.idle_ns = socket.hook_close->idle_ns;
  }
  return out;
}

}  // namespace conntrace::cli
