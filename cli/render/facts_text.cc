// SPDX-License-Identifier: Apache-2.0
#include "render/facts_text.h"

#include <fmt/format.h>

#include <cstring>

#include "timeline/duration_text.h"

namespace conntrace::cli {
namespace {

std::string plural(std::uint64_t count, const char* thing) {
  return fmt::format("{} {}{}", count, thing, count == 1 ? "" : "s");
}

std::string ends_text(const std::optional<std::string>& local, const std::optional<std::string>& remote) {
  if (local && remote) return *local + " -> " + *remote;
  return remote ? "to " + *remote : local.value_or("");
}

}  // namespace

std::string short_id(const std::string& id) { return id.substr(id.rfind('/') + 1); }

std::string process_text(const ProcessFacts& process) {
  if (process.pid == 0) return process.comm.value_or("unknown process");
  return process.comm ? fmt::format("{} ({})", *process.comm, process.pid) : fmt::format("process {}", process.pid);
}

std::string blocked_text(const PhaseTimeline& phase, const BlockedFacts& blocked) {
  std::string out = "waited " + duration_text(phase.duration_ns);
  if (blocked.cause == "dial") {
    out += " while its own dial";
    if (blocked.own_dial) out += fmt::format(" (connection {})", *blocked.own_dial);
    out += " was under way; ";
    return out + (blocked.released_by
                      ? "request " + short_id(*blocked.released_by) + " handed its connection over first"
                      : "another connection came first");
  }
  out += " behind " + blocked.cause;
  if (blocked.limit) out += fmt::format(" = {}", *blocked.limit);
  if (blocked.position && blocked.depth)
    out += fmt::format(", number {} of {} in the queue", *blocked.position, *blocked.depth);
  if (blocked.outcome) out += fmt::format("; ended by {}", to_string(*blocked.outcome));
  if (blocked.released_by) out += " of request " + short_id(*blocked.released_by);
  return out;
}

std::string holders_text(const BlockedFacts& blocked) {
  std::string out;
  for (const HolderShare& holder : blocked.holders) {
    out += out.empty() ? "held by " : ", ";
    out += holder.request ? "request " + short_id(*holder.request) : "no request";
    out += fmt::format(" on connection {}", holder.connection);
    if (holder.doing != Phase::none) out += fmt::format(" in {}", to_string(holder.doing));
    if (holder.share > 0) out += fmt::format(" {:.0f} %", holder.share * 100);
  }
  if (blocked.others_share > 0) out += fmt::format(", others {:.0f} %", blocked.others_share * 100);
  return out;
}

std::string dns_text(const DnsFacts& dns) {
  std::string out = dns.host.value_or("the name");
  if (dns.error) return out + ": " + *dns.error;
  for (std::size_t i = 0; i < dns.addresses.size() && i < 4; ++i) out += (i == 0 ? " is " : ", ") + dns.addresses[i];
  if (dns.addresses.size() > 4) out += fmt::format(" and {} more", dns.addresses.size() - 4);
  if (dns.coalesced == true) out += " (another request's lookup)";
  return out;
}

std::string exchange_text(const DnsExchange& exchange) {
  std::string out = fmt::format("{} {} of {} over {}: {}", exchange.type, exchange.name, exchange.server,
                                to_string(exchange.transport), exchange.rcode.value_or("no answer seen"));
  for (std::size_t i = 0; i < exchange.answers.size() && i < 4; ++i) out += " " + exchange.answers[i];
  if (exchange.latency_ns) out += " after " + duration_text(*exchange.latency_ns);
  if (exchange.retries != 0) out += fmt::format(", sent {} times", exchange.retries + 1);
  return out;
}

std::string connect_text(const ConnectAttempt& attempt) {
  std::string out = attempt.address;
  if (attempt.error) {
    out += ": " + *attempt.error;
  } else {
    out += attempt.duration_ns ? " connected" : ": its end was not seen";
  }
  if (attempt.duration_ns) out += (attempt.error ? " after " : " in ") + duration_text(*attempt.duration_ns);
  if (!attempt.kernel) return out;
  const KernelConnect& kernel = *attempt.kernel;
  if (kernel.syn_ns && kernel.established_ns && *kernel.established_ns >= *kernel.syn_ns) {
    const auto handshake_ns =
        static_cast<std::uint64_t>(*kernel.established_ns) - static_cast<std::uint64_t>(*kernel.syn_ns);
    out += "; kernel: handshake " + duration_text(handshake_ns);
  } else {
    out += "; kernel: not established";
  }
  out += ", " + plural(kernel.syn_retransmits, "SYN retransmit");
  if (kernel.srtt_us) out += ", round trip " + duration_text(std::uint64_t{*kernel.srtt_us} * 1000);
  return out;
}

std::string tls_text(const TlsFacts& tls) {
  if (tls.error) return "TLS failed: " + *tls.error;
  std::string out = tls.version.value_or("TLS");
  if (tls.cipher) out += " " + *tls.cipher;
  if (tls.alpn) out += ", ALPN " + *tls.alpn;
  if (tls.resumed == true) out += ", session resumed";
  return out;
}

std::string proxy_text(const ProxyFacts& proxy) {
  const std::string what =
      fmt::format("{} to {} through {}", proxy.kind == ProxyKind::socks5 ? "SOCKS5" : "CONNECT",
                  proxy.target.value_or("an unknown target"), proxy.proxy.value_or("an unknown proxy"));
  if (proxy.error) return what + " failed: " + *proxy.error;
  return proxy.kind == ProxyKind::http && proxy.status ? fmt::format("{}: {}", what, *proxy.status) : what;
}

std::string closed_text(const ClosedFacts& closed) {
  std::string out = fmt::format("{}, by {}", to_string(closed.reason), to_string(closed.by));
  if (closed.how != CloseHow::unknown) out += fmt::format(", {}", to_string(closed.how));
  if (closed.error_number) {
    const char* name = strerrorname_np(*closed.error_number);
    out += name != nullptr ? fmt::format(", {}", name) : fmt::format(", errno {}", *closed.error_number);
  }
  if (closed.inferred) out += " (inferred)";
  return out;
}

std::string earlier_text(const EarlierAttempt& attempt) {
  std::string out = fmt::format("attempt {}", attempt.attempt);
  if (attempt.connection) out += fmt::format(" on connection {}", *attempt.connection);
  if (attempt.idle_ns) out += ", idle for " + duration_text(*attempt.idle_ns) + " before";
  out += ", given up after " + duration_text(attempt.duration_ns);
  if (attempt.reason) out += ": " + *attempt.reason;
  if (attempt.closed) out += " [" + closed_text(*attempt.closed) + "]";
  return out;
}

std::string rejected_text(const RejectedConnection& rejected) {
  std::string out = fmt::format("connection {} could not serve: {}", rejected.connection, to_string(rejected.reason));
  if (!rejected.closed) return out;
  out += "; closed";
  if (rejected.closed->at_ns < 0)
    out += " " + duration_text(0 - static_cast<std::uint64_t>(rejected.closed->at_ns)) + " before this request";
  if (rejected.idle_ns) out += " after " + duration_text(*rejected.idle_ns) + " idle";
  return out + " (" + closed_text(*rejected.closed) + ")";
}

std::string connection_text(const RequestConnection& connection) {
  std::string out = fmt::format("connection {}", connection.number);
  if (const std::string ends = ends_text(connection.local, connection.remote); !ends.empty()) out += " " + ends;
  if (connection.protocol) out += " " + *connection.protocol;
  if (connection.reused == true && connection.idle_ns) {
    out += ": reused after " + duration_text(*connection.idle_ns) + " idle";
  } else if (connection.reused == true) {
    out += ": reused, handed over";
  } else if (connection.reused == false && connection.idle_ns) {
    out += ": never used, idle for " + duration_text(*connection.idle_ns);
  } else if (connection.reused == false) {
    out += ": new";
  }
  if (connection.why_new) out += fmt::format(" because {}", to_string(*connection.why_new));
  if (connection.requests_before.value_or(0) != 0)
    out += ", " + plural(*connection.requests_before, "request") + " before";
  if (connection.reused == true && connection.dialled_by)
    out += ", dialled by request " + short_id(*connection.dialled_by);
  if (connection.retransmits_during)
    out += "; kernel: " + plural(*connection.retransmits_during, "retransmit") + " meanwhile";
  return out;
}

std::string after_text(const RequestConnection& connection) {
  if (!connection.after) return {};
  switch (*connection.after) {
    case After::idle: return "went back to the pool";
    case After::handed_on: return "went to a waiting request";
    case After::closed: return "closed" + (connection.closed ? ": " + closed_text(*connection.closed) : std::string());
  }
  return {};
}

std::string fds_text(const FdFacts& fds) {
  std::string out = fmt::format("{} descriptors open", fds.open);
  if (fds.soft_limit && *fds.soft_limit != 0)
    out = fmt::format("{} of {} descriptors open ({} %)", fds.open, *fds.soft_limit, fds.open * 100 / *fds.soft_limit);
  if (fds.limit_hits != 0) out += ", limit hit " + plural(fds.limit_hits, "time");
  return out;
}

}  // namespace conntrace::cli
