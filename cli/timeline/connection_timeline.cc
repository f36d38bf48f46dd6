// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <algorithm>

#include "timeline/close_facts.h"
#include "timeline/engine.h"
#include "timeline/findings.h"

namespace conntrace::cli {
namespace {

std::optional<std::string> said(const std::string& text) {
  return text.empty() ? std::nullopt : std::optional<std::string>(text);
}

std::int64_t relative(std::uint64_t mono_ns, std::uint64_t origin_ns) {
  return static_cast<std::int64_t>(mono_ns - origin_ns);
}

void add_uses(const SocketState& socket, std::uint64_t now_ns, ConnectionTimeline& out) {
  const std::uint64_t origin_ns = out.start_mono_ns;
  for (const GapSpan& gap : socket.idle_gaps)
    out.idle_gaps.push_back({relative(gap.start_ns, origin_ns), gap.duration_ns});
  if (socket.idle_since_ns != 0 && !socket.over() && now_ns > socket.idle_since_ns)
    out.idle_gaps.push_back({relative(socket.idle_since_ns, origin_ns), now_ns - socket.idle_since_ns});
  out.truncated = socket.gaps_cut || socket.uses_cut;
}

}  // namespace

void Engine::add_kernel_facts(const SocketState& socket, ConnectionTimeline& out) const {
  if (!socket.by_kernel) {
    const std::string why = no_kernel(*socket.process);
    for (const char* fact : {"handshake_ns", "accept_queue_ns", "syn_retransmits", "srtt_us", "retransmits"})
      out.unavailable[fact] = why;
    return;
  }
  if (socket.accepted_ns != 0 && socket.established_ns != 0) {
    out.accept_queue_ns = socket.accepted_ns - std::min(socket.accepted_ns, socket.established_ns);
  } else {
    out.unavailable["accept_queue_ns"] = socket.direction == Direction::outgoing ? "this side connected"
                                         : socket.established_ns == 0 ? "when it was established was not seen"
                                                                      : "no accept was seen";
  }
  out.retransmits = socket.retransmits;
  if (socket.srtt_us != 0) {
    out.srtt_us = socket.srtt_us;
  } else {
    out.unavailable["srtt_us"] = "the kernel had measured none";
  }
  const bool beginning_seen = socket.syn_ns != 0 || socket.handshake_ns;
  if (beginning_seen) {
    out.handshake_ns = socket.handshake_ns;
    if (!out.handshake_ns && socket.established_ns != 0 && socket.syn_ns != 0)
      out.handshake_ns = socket.established_ns - std::min(socket.established_ns, socket.syn_ns);
    out.syn_retransmits = socket.syn_retransmits;
    if (!out.handshake_ns) out.unavailable["handshake_ns"] = "the handshake was not completed";
  } else {
    const char* why = "the kernel source did not see the first SYN";
    out.unavailable["handshake_ns"] = why;
    if (socket.established_ns != 0) {
      out.syn_retransmits = socket.syn_retransmits;
    } else {
      out.unavailable["syn_retransmits"] = why;
    }
  }
}

ConnectionTimeline Engine::timeline_of(const SocketState& socket) const {
  const ProcessState& process = *socket.process;
  ConnectionTimeline out;
  out.start_mono_ns = socket.first_ns;
  const std::optional<ClosedFacts> closed = closed_of(socket, socket.first_ns);
  const std::uint64_t last_ns = std::max(now_ns_, socket.first_ns);
  const std::uint64_t end_ns =
      closed ? socket.first_ns + static_cast<std::uint64_t>(std::max<std::int64_t>(closed->at_ns, 0)) : last_ns;
  out.duration_ns = end_ns - socket.first_ns;
  out.id = socket.cookie != 0 ? fmt::format("{}-{}-{}", boot_prefix(), socket.netns, socket.cookie)
                              : fmt::format("{}/c{}", process_id(process), socket.number);
  out.time = wall_time(process, out.start_mono_ns);
  if (!out.time) out.unavailable["time"] = "no stream_start with a wall time";
  out.complete = !socket.start_missing && !socket.existed_before && !touched(process, socket.first_ns, end_ns);
  if (socket.by_hook) out.sources.push_back(Source::hook);
  if (socket.by_kernel) out.sources.push_back(Source::kernel);
  if (socket.by_proc) out.sources.push_back(Source::proc);
  if (socket.by_diag) out.sources.push_back(Source::diag);
  out.process = facts_of(process, out.unavailable);
  if (socket.netns != 0) out.process.netns = socket.netns;
  if (socket.netns != 0) out.unavailable.erase("process.netns");
  out.direction = socket.direction;
  out.local = said(socket.local);
  out.remote = said(socket.remote);
  out.protocol = said(socket.protocol);
  out.fd = socket.fd;
  if (!out.fd) out.unavailable["fd"] = "no record of this socket says it";
  if (socket.cookie != 0) out.cookie = socket.cookie;
  if (socket.netns != 0) out.netns = socket.netns;
  if (socket.cookie == 0) out.unavailable["cookie"] = "the library could not read SO_COOKIE";
  if (socket.netns == 0) out.unavailable["netns"] = "no record of this socket says it";
  out.existed_before = socket.existed_before;
  add_kernel_facts(socket, out);
  out.bytes_sent = socket.bytes_sent;
  out.bytes_received = socket.bytes_received;
  if (!out.bytes_sent) out.unavailable["bytes_sent"] = "known when the connection closes";
  if (!out.bytes_received) out.unavailable["bytes_received"] = "known when the connection closes";
  if (socket.by_hook) {
    out.number = socket.number;
    out.requests = socket.requests.value_or(0);
    if (socket.dialled_by) out.dialled_by = request_id(process, *socket.dialled_by);
    out.why_new = socket.why_new;
    out.candidates = candidates_of(process, socket.candidates, out.start_mono_ns);
    if (!out.why_new) out.unavailable["why_new"] = "the beginning of its dial was not recorded";
    for (const UseState& use : socket.uses) {
      ConnectionUseSpan& span = out.uses.emplace_back();
      span.request = request_id(process, use.request);
      span.start_ns = relative(use.start_ns, out.start_mono_ns);
      if (use.end_ns != 0) span.end_ns = relative(use.end_ns, out.start_mono_ns);
    }
  } else {
    const char* why = "the library of this project did not report this socket";
    for (const char* fact : {"number", "requests", "why_new", "dialled_by", "protocol", "uses"})
      out.unavailable[fact] = why;
    if (!socket.by_kernel) out.unavailable["idle_gaps"] = no_kernel(process);
    if (socket.direction != Direction::outgoing) out.unavailable["idle_gaps"] = "known of outgoing connections only";
    if (socket.direction == Direction::outgoing && socket.syn_ns != 0) {
      const auto lookups = dns_.of_address(process.facts.pid, socket.remote, socket.syn_ns);
      if (!lookups.empty()) out.dns = InferredDns{.queries = lookups};
    }
  }
  add_uses(socket, last_ns, out);
  out.closed = closed;
  out.findings = findings_of(out, socket.hook_close ? socket.hook_close->by : ClosedBy::unknown,
                             kernel_view(socket.kernel_close).by);
  return out;
}

}  // namespace conntrace::cli
