// SPDX-License-Identifier: Apache-2.0
#include "timeline/findings.h"

#include <fmt/format.h>

#include <string>

#include "timeline/duration_text.h"

namespace conntrace::cli {
namespace {

constexpr std::uint64_t kQueuedNs = 1'000'000;       ///< shorter waits are noise
constexpr std::uint64_t kSlowDnsNs = 100'000'000;    ///< what a resolver on the same network never takes
constexpr std::uint64_t kEvictedNs = 1'000'000'000;  ///< a connection without room in the pool was needed this soon
constexpr std::uint64_t kNearPercent = 80;

void add(std::vector<Finding>& out, FindingCode code, Severity severity, std::string text) {
  out.push_back({std::string(to_string(code)), severity, std::move(text)});
}

/// "request 17" of "1a2b3c4d-4242-123/17".
std::string short_id(const std::string& id) { return "request " + id.substr(id.rfind('/') + 1); }

void check_queue(const PhaseTimeline& phase, const BlockedFacts& blocked, std::vector<Finding>& out) {
  if (blocked.cause == "dial" || phase.duration_ns < kQueuedNs) return;
  std::string text = fmt::format("It waited {} because {}", duration_text(phase.duration_ns), blocked.cause);
  if (blocked.limit) text += fmt::format(" = {}", *blocked.limit);
  text += " was reached";
  if (blocked.position && blocked.depth)
    text += fmt::format(", number {} of {} in the queue", *blocked.position, *blocked.depth);
  if (!blocked.holders.empty() && blocked.holders.front().request) {
    const HolderShare& first = blocked.holders.front();
    text += fmt::format("; {} held a connection for {:.0f} % of the wait", short_id(*first.request), first.share * 100);
  }
  const bool descriptors = blocked.cause == to_string(Limit::fd_limit);
  text += fmt::format(". Raise {}, or make the requests that hold connections shorter.",
                      descriptors ? "the soft limit of descriptors (ulimit -n, LimitNOFILE)" : blocked.cause);
  add(out, FindingCode::queued_behind_limit, Severity::warning, std::move(text));
}

void check_connects(const ConnectFacts& connect, std::vector<Finding>& out) {
  for (const ConnectAttempt& attempt : connect.attempts) {
    if (!attempt.kernel || attempt.kernel->syn_retransmits == 0) continue;
    std::string text = fmt::format("The connect to {} sent its SYN {} more time{}", attempt.address,
                                   attempt.kernel->syn_retransmits, attempt.kernel->syn_retransmits == 1 ? "" : "s");
    if (attempt.duration_ns) text += fmt::format(" and took {}", duration_text(*attempt.duration_ns));
    text += ". Packets were lost, or the server's accept queue (its listen backlog, net.core.somaxconn) was full.";
    add(out, FindingCode::syn_retransmitted, Severity::warning, std::move(text));
  }
}

void check_dns(const PhaseTimeline& phase, const DnsFacts& dns, std::vector<Finding>& out) {
  if (phase.duration_ns < kSlowDnsNs) return;
  std::string text =
      fmt::format("Resolving {} took {}", dns.host.value_or("the name"), duration_text(phase.duration_ns));
  if (dns.kernel && !dns.kernel->queries.empty()) {
    const DnsExchange& query = dns.kernel->queries.front();
    text += fmt::format("; {} was asked {} time{} for {}", query.server, query.retries + 1,
                        query.retries == 0 ? "" : "s", query.name);
    if (!query.rcode) text += " and did not answer";
  }
  text +=
      ". Look at the name servers and options (timeout, attempts, ndots) in /etc/resolv.conf, or cache names on this "
      "machine.";
  add(out, FindingCode::dns_slow, Severity::warning, std::move(text));
}

void check_reuse(const FailedReuse& failed, std::vector<Finding>& out) {
  const std::string idle =
      failed.idle_ns ? fmt::format(", idle for {},", duration_text(*failed.idle_ns)) : std::string();
  const char* advice = "Set idle_conn_timeout below the server's keep-alive timeout.";
  if (failed.peer_closed_first == false) {
    add(out, FindingCode::close_crossed_request, Severity::warning,
        fmt::format("Attempt {} took connection {}{} and the server closed it before it answered: close and request "
                    "crossed. {}",
                    failed.attempt, failed.connection, idle, advice));
  } else if (failed.peer_closed_first == true) {
    add(out, FindingCode::stale_reuse, Severity::warning,
        fmt::format("Attempt {} took connection {}{} which the server had closed already. {}", failed.attempt,
                    failed.connection, idle, advice));
  } else {
    add(out, FindingCode::stale_reuse, Severity::warning,
        fmt::format("Attempt {} took connection {}{} and the server closed it without an answer. {}", failed.attempt,
                    failed.connection, idle, advice));
  }
}

/// False if this one tells nothing.
bool check_evicted(const RequestTimeline& timeline, const RejectedConnection& candidate, std::vector<Finding>& out) {
  if (!candidate.closed || candidate.closed->at_ns > static_cast<std::int64_t>(timeline.duration_ns)) return false;
  const auto needed_ns = timeline.phases.empty() ? 0 : static_cast<std::int64_t>(timeline.phases.front().start_ns);
  const std::int64_t closed_ns = candidate.closed->at_ns;
  const std::uint64_t ago_ns =
      needed_ns > closed_ns ? static_cast<std::uint64_t>(needed_ns) - static_cast<std::uint64_t>(closed_ns) : 0;
  const CloseReason reason = candidate.closed->reason;
  const char* setting = nullptr;
  // With twice the timeout it would have been there.
  if (reason == CloseReason::idle_timeout && candidate.idle_ns && ago_ns <= *candidate.idle_ns)
    setting = "idle_conn_timeout";
  if (reason == CloseReason::max_idle_conns && ago_ns <= kEvictedNs) setting = "max_idle_conns";
  if (reason == CloseReason::max_idle_conns_per_host && ago_ns <= kEvictedNs) setting = "max_idle_conns_per_host";
  if (setting == nullptr) return false;
  std::string text = fmt::format("Connection {} was closed by {} {} before this request needed one to the same host",
                                 candidate.connection, setting, duration_text(ago_ns));
  if (candidate.idle_ns) text += fmt::format(", after {} idle", duration_text(*candidate.idle_ns));
  add(out, FindingCode::idle_evicted_early, Severity::info, text + fmt::format(". Raise {}.", setting));
  return true;
}

void check_disabled(const RequestConnection& connection, std::vector<Finding>& out) {
  const bool closed = connection.closed && (connection.closed->reason == CloseReason::keep_alives_disabled ||
                                            connection.closed->reason == CloseReason::connection_close_request);
  if (!closed && connection.why_new != WhyNew::keep_alives_disabled) return;
  const bool by_header = closed && connection.closed->reason == CloseReason::connection_close_request;
  add(out, FindingCode::reuse_disabled, Severity::info,
      fmt::format("Connection {} was not kept because {}, so the next request dials again.", connection.number,
                  by_header ? "the request said Connection: close"
                            : "disable_keep_alives is set or max_idle_conns_per_host is negative"));
}

void check_fds(const FdFacts& fds, std::vector<Finding>& out) {
  if (!fds.soft_limit || *fds.soft_limit == 0 || fds.open < (*fds.soft_limit * kNearPercent + 99) / 100) return;
  add(out, FindingCode::fd_limit_near, Severity::warning,
      fmt::format("The process had {} of {} descriptors open ({} %). Raise the soft limit (ulimit -n, LimitNOFILE), or "
                  "find what holds them.",
                  fds.open, *fds.soft_limit, fds.open * 100 / *fds.soft_limit));
}

}  // namespace

std::vector<Finding> findings_of(const RequestTimeline& timeline, const RequestEvidence& evidence) {
  std::vector<Finding> out;
  for (const PhaseTimeline& phase : timeline.phases) {
    if (const auto* blocked = std::get_if<BlockedFacts>(&phase.facts)) check_queue(phase, *blocked, out);
    if (const auto* dns = std::get_if<DnsFacts>(&phase.facts)) check_dns(phase, *dns, out);
    if (const auto* connect = std::get_if<ConnectFacts>(&phase.facts)) check_connects(*connect, out);
  }
  for (const FailedReuse& failed : evidence.failed_reuses) check_reuse(failed, out);
  if (timeline.connection) {
    // The first is the one that was closed last; one connection is all that the request needed.
    for (const RejectedConnection& candidate : timeline.connection->candidates) {
      if (check_evicted(timeline, candidate, out)) break;
    }
    check_disabled(*timeline.connection, out);
  }
  if (timeline.fds) check_fds(*timeline.fds, out);
  if (evidence.limit_hits_during != 0) {
    add(out, FindingCode::fd_limit_hit, Severity::error,
        fmt::format("While it ran, {} system call{} of its process failed for want of a descriptor or a port.",
                    evidence.limit_hits_during, evidence.limit_hits_during == 1 ? "" : "s"));
  }
  return out;
}

std::vector<Finding> findings_of(const ConnectionTimeline& timeline, ClosedBy library, ClosedBy kernel) {
  std::vector<Finding> out;
  if (timeline.syn_retransmits.value_or(0) != 0) {
    std::string text = fmt::format("The SYN was sent {} more time{}", *timeline.syn_retransmits,
                                   *timeline.syn_retransmits == 1 ? "" : "s");
    if (timeline.handshake_ns) text += fmt::format("; the handshake took {}", duration_text(*timeline.handshake_ns));
    add(out, FindingCode::syn_retransmitted, Severity::warning,
        text + ". Packets were lost, or the listener's accept queue (its backlog, net.core.somaxconn) was full.");
  }
  if (library != ClosedBy::unknown && kernel != ClosedBy::unknown && library != kernel) {
    add(out, FindingCode::sources_disagree, Severity::info,
        fmt::format("The library says that the {} side closed, the kernel saw the {} side close first; `closed` shows "
                    "the kernel's.",
                    to_string(library), to_string(kernel)));
  }
  return out;
}

std::vector<Finding> findings_of(const ProcessTimeline& timeline) {
  std::vector<Finding> out;
  if (timeline.fds) check_fds(*timeline.fds, out);
  if (timeline.alarm) {
    const bool ports = timeline.alarm->error == "EADDRNOTAVAIL";
    add(out, FindingCode::fd_limit_hit, Severity::error,
        fmt::format(
            "{} failed with {}. {}", timeline.alarm->syscall.value_or("A system call"), timeline.alarm->error,
            ports ? "Local ports are used up: reuse connections, or widen net.ipv4.ip_local_port_range."
                  : "Raise the limit (ulimit -n, LimitNOFILE; ENFILE: fs.file-max), or find what holds descriptors."));
  }
  return out;
}

}  // namespace conntrace::cli
