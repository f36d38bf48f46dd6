// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include "timeline/close_facts.h"
#include "timeline/engine.h"
#include "timeline/findings.h"
#include "timeline/phases.h"

namespace conntrace::cli {
namespace {

/// When the attempt was over, as far as its records say.
std::uint64_t end_of(const RequestState& request, std::uint32_t number, std::uint64_t request_end_ns) {
  const auto attempt = request.attempts.find(number);
  const auto next = std::next(attempt);
  if (attempt->second.retry_ns != 0) return attempt->second.retry_ns;
  if (next != request.attempts.end() && next->second.get_conn_ns != 0) return next->second.get_conn_ns;
  return request_end_ns;
}

void add_source(std::vector<Source>& sources, Source source) {
  if (std::ranges::find(sources, source) == sources.end()) sources.push_back(source);
}

void add_census(const ProcessState& process, std::uint64_t end_ns, RequestTimeline& out) {
  const CensusState* nearest = nullptr;
  for (const CensusState& census : process.censuses) {
    if (census.mono_ns <= end_ns) nearest = &census;
  }
  if (nearest == nullptr) {
    out.unavailable["fds"] = "no descriptor census of this process before the request ended";
    return;
  }
  out.fds = nearest->facts;
  const auto hits = [&](std::uint64_t at_ns) { return at_ns > end_ns; };
  out.fds->limit_hits = process.limit_hits - static_cast<std::uint64_t>(std::ranges::count_if(process.hit_times, hits));
  add_source(out.sources, nearest->source);
}

/// Attempts on connections that had served before and that the peer closed without an answer.
std::vector<FailedReuse> failed_reuses(const RequestState& request) {
  std::vector<FailedReuse> out;
  for (const auto& [number, attempt] : request.attempts) {
    if (!attempt.socket || attempt.connection.reused != true || attempt.first_byte_ns != 0) continue;
    const SocketState& socket = *attempt.socket;
    FailedReuse failed{.attempt = number, .connection = socket.number, .idle_ns = attempt.connection.idle_ns};
    const KernelClose& kernel = socket.kernel_close;
    std::uint64_t peer_ns = kernel.peer_fin_ns;
    const std::uint64_t reset_ns = peer_reset_ns(kernel);
    if (peer_ns == 0 || (reset_ns != 0 && reset_ns < peer_ns)) peer_ns = reset_ns;
    if (peer_ns != 0) {
      failed.peer_closed_first = peer_ns <= attempt.got_conn_ns;
    } else if (!socket.hook_close || socket.hook_close->by != ClosedBy::peer) {
      continue;
    }
    out.push_back(failed);
  }
  return out;
}

RequestEvidence evidence_of(const RequestState& request, std::uint64_t start_ns, std::uint64_t end_ns) {
  RequestEvidence out{.failed_reuses = failed_reuses(request)};
  const auto during = [&](std::uint64_t at_ns) { return at_ns >= start_ns && at_ns <= end_ns; };
  out.limit_hits_during = static_cast<std::uint64_t>(std::ranges::count_if(request.process->hit_times, during));
  return out;
}

void say_start(const RequestState& request, RequestTimeline& out) {
  if (request.start_seen) return;
  out.complete = false;
  out.unavailable["phases"] =
      request.joined_in != Phase::none
          ? "the observer came while the request was under way, in phase " + std::string(to_string(request.joined_in))
          : "the request's beginning was not recorded";
}

}  // namespace

RequestTimeline Engine::timeline_of(const RequestState& request) const {
  const ProcessState& process = *request.process;
  RequestTimeline out;
  out.start_mono_ns = request.start_ns != 0 ? request.start_ns : request.first_ns;
  const std::uint64_t known_until_ns = process.exited_ns != 0 ? process.exited_ns : now_ns_;
  const std::uint64_t end_ns = std::max(request.done_ns != 0 ? request.done_ns : known_until_ns, out.start_mono_ns);
  out.id = request_id(process, request.facts.number);
  out.time = wall_time(process, out.start_mono_ns);
  if (!out.time) out.unavailable["time"] = "no stream_start with a wall time";
  out.duration_ns = end_ns - out.start_mono_ns;
  out.sources.push_back(Source::hook);
  out.process = facts_of(process, out.unavailable);
  out.request = request.facts;
  if (request.redirected_from) out.request.redirected_from = request_id(process, *request.redirected_from);
  if (request.retry_of) out.request.retry_of = request_id(process, *request.retry_of);
  say_start(request, out);
  if (request.done_ns == 0) {
    out.complete = false;
    out.unavailable["duration_ns"] =
        process.exited_ns != 0 ? "the process ended before the request; this is the time until then"
                               : "the request had not ended when the records did; this is the time until then";
  }
  if (touched(process, out.start_mono_ns, end_ns)) out.complete = false;
  if (!request.error.empty()) out.error = RequestError{request.error, request.error_phase};

  for (const auto& [number, attempt] : request.attempts) {
    const std::uint64_t attempt_end = std::clamp(end_of(request, number, end_ns), out.start_mono_ns, end_ns);
    if (number == request.attempts.rbegin()->first) {
      out.request.attempt = number;
      out.response = attempt.response;
      if (!out.response && request.status != 0)  // response_head was lost
        out.response = ResponseFacts{.status = request.status, .body_bytes = request.body_bytes};
      out.phases = PhaseMaker(*this, request, attempt, attempt_end, out).make();
      if (attempt.socket) out.connection = connection_of(attempt, attempt_end, out);
      continue;
    }
    EarlierAttempt& earlier = out.earlier_attempts.emplace_back();
    const bool first = out.earlier_attempts.size() == 1;
    const std::uint64_t begin =
        first ? out.start_mono_ns : std::clamp(attempt.get_conn_ns, out.start_mono_ns, attempt_end);
    earlier.attempt = number;
    earlier.start_ns = begin - out.start_mono_ns;
    earlier.duration_ns = attempt_end - begin;
    if (!attempt.retry_reason.empty()) earlier.reason = attempt.retry_reason;
    if (!attempt.socket) continue;
    earlier.connection = attempt.socket->number;
    if (attempt.socket->cookie != 0) earlier.cookie = attempt.socket->cookie;
    earlier.reused = attempt.connection.reused;
    earlier.idle_ns = attempt.connection.idle_ns;
    earlier.closed = closed_of(*attempt.socket, out.start_mono_ns);
  }
  for (const auto& [number, attempt] : request.attempts) {
    std::vector<std::shared_ptr<SocketState>> sockets{attempt.socket};
    for (const auto& dial : attempt.own_dials) {
      for (const ConnectTry& connect : dial->tries) sockets.push_back(connect.socket);
    }
    if (std::ranges::any_of(sockets, [](const auto& socket) { return socket && socket->by_kernel; }))
      add_source(out.sources, Source::kernel);
  }
  for (const PhaseTimeline& phase : out.phases) {
    const auto* dns = std::get_if<DnsFacts>(&phase.facts);
    if (dns != nullptr && dns->kernel && !dns->kernel->queries.empty()) add_source(out.sources, Source::kernel);
  }
  add_census(process, end_ns, out);
  out.findings = findings_of(out, evidence_of(request, out.start_mono_ns, end_ns));
  return out;
}

RequestConnection Engine::connection_of(const AttemptState& attempt, std::uint64_t end_ns, RequestTimeline& out) const {
  const SocketState& socket = *attempt.socket;
  const ProcessState& process = *socket.process;
  RequestConnection connection = attempt.connection;
  connection.number = socket.number;
  if (socket.cookie != 0) connection.cookie = socket.cookie;
  if (socket.netns != 0) connection.netns = socket.netns;
  if (socket.cookie == 0) out.unavailable["connection.cookie"] = "the library could not read SO_COOKIE";
  if (socket.netns == 0) out.unavailable["connection.netns"] = "no record of this socket says it";
  connection.fd = socket.fd;
  if (!socket.local.empty()) connection.local = socket.local;
  if (!socket.remote.empty()) connection.remote = socket.remote;
  if (!socket.protocol.empty()) connection.protocol = socket.protocol;
  if (socket.dialled_by) connection.dialled_by = request_id(process, *socket.dialled_by);
  if (connection.reused == false && attempt.dial) {
    connection.why_new = attempt.dial->why_new;
    connection.candidates = candidates_of(process, attempt.dial->candidates, out.start_mono_ns);
    if (!connection.why_new) out.unavailable["connection.why_new"] = "the beginning of its dial was not recorded";
  }
  const std::uint64_t released_ns = attempt.released_ns() != 0 ? std::min(attempt.released_ns(), end_ns) : end_ns;
  if (attempt.got_conn_ns == 0) {
    out.unavailable["connection.retransmits_during"] = "when the request got the connection was not recorded";
  } else if (!socket.by_kernel) {
    out.unavailable["connection.retransmits_during"] = no_kernel(process);
  } else if (attempt.got_conn_ns < socket.retransmits_known_from_ns &&
             socket.retransmits_known_from_ns > socket.first_ns) {
    out.unavailable["connection.retransmits_during"] = "the kernel source came to this socket later";
  } else {
    connection.retransmits_during = static_cast<std::uint32_t>(std::ranges::count_if(
        socket.retransmit_times, [&](std::uint64_t at) { return at >= attempt.got_conn_ns && at <= released_ns; }));
  }
  if (attempt.put_idle_ns != 0 && attempt.put_idle_error.empty()) {
    connection.after = attempt.handed_to ? After::handed_on : After::idle;
  } else if (attempt.put_idle_ns != 0 || attempt.conn_closed_ns != 0) {
    connection.after = After::closed;
    connection.closed = closed_of(socket, out.start_mono_ns);
  } else {
    out.unavailable["connection.after"] = "the records do not say what became of it";
  }
  return connection;
}

}  // namespace conntrace::cli
