// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <tuple>

#include "conntrace/field.h"
#include "conntrace/reasons.h"
#include "conntrace/text.h"

namespace conntrace {

// Payloads of making a new connection. Each is also the argument of the hook of the same name (client_trace.h).
// Text and List are views: a hook must copy what it keeps.

/// An open connection that could not serve.
struct Candidate {
  std::uint64_t connection = 0;
  WhyNew reason = {};
  static constexpr auto fields() {
    return std::tuple{Field{"connection", &Candidate::connection, "its number"},
                      Field{"reason", &Candidate::reason, "why not"}};
  }
};

struct WhyNewInfo {
  WhyNew reason = WhyNew::no_idle;
  Text host_port;
  List<Candidate> candidates;
  static constexpr auto fields() {
    return std::tuple{Field{"reason", &WhyNewInfo::reason, "why no open connection served"},
                      Field{"host_port", &WhyNewInfo::host_port, "host:port that is dialled"},
                      Field{"candidates", &WhyNewInfo::candidates, "open connections that were rejected"}};
  }
};

struct DnsStartInfo {
  Text host;
  static constexpr auto fields() { return std::tuple{Field{"host", &DnsStartInfo::host, "the name looked up"}}; }
};

struct DnsDoneInfo {
  Text host;
  List<Text> addresses;
  Text error;
  bool coalesced = false;
  std::uint32_t resolver_tid = 0;
  std::uint64_t resolver_start_ns = 0;
  std::uint64_t resolver_end_ns = 0;
  static constexpr auto fields() {
    return std::tuple{Field{"host", &DnsDoneInfo::host, "the name looked up"},
                      Field{"addresses", &DnsDoneInfo::addresses, "all addresses, in the resolver's order"},
                      Field{"error", &DnsDoneInfo::error, "empty: success"},
                      Field{"coalesced", &DnsDoneInfo::coalesced, "another request's lookup of the same name answered"},
                      Field{"resolver_tid", &DnsDoneInfo::resolver_tid,
                            "thread that called getaddrinfo; joins the kernel's DNS records"},
                      Field{"resolver_start_ns", &DnsDoneInfo::resolver_start_ns, "mono_ns when that thread began"},
                      Field{"resolver_end_ns", &DnsDoneInfo::resolver_end_ns, "mono_ns when it had the answer"}};
  }
};

struct ConnectStartInfo {
  Text network;
  Text address;
  int fd = 0;
  static constexpr auto fields() {
    return std::tuple{
        Field{"network", &ConnectStartInfo::network, "tcp4 or tcp6; dial: made by TransportOptions::dial"},
        Field{"address", &ConnectStartInfo::address,
              "ip:port; of TransportOptions::dial the host:port that it is asked for"},
        Field{"fd", &ConnectStartInfo::fd, "descriptor of the socket; -1: it is still to be made"}};
  }
};

struct ConnectDoneInfo {
  Text network;
  Text address;
  Text local;
  Text error;
  int error_number = 0;
  ConnectOutcome outcome = ConnectOutcome::unknown;
  std::optional<std::uint64_t> local_ports;
  std::optional<std::uint64_t> sockets_to_address;
  static constexpr auto fields() {
    return std::tuple{Field{"network", &ConnectDoneInfo::network, "tcp4 or tcp6; dial: made by TransportOptions::dial"},
                      Field{"address", &ConnectDoneInfo::address, "as in connect_start"},
                      Field{"local", &ConnectDoneInfo::local, "ip:port of this side, if connected"},
                      Field{"error", &ConnectDoneInfo::error, "empty: connected"},
                      Field{"error_number", &ConnectDoneInfo::error_number, "errno, 0 if connected or not known"},
                      Field{"outcome", &ConnectDoneInfo::outcome, "what became of it"},
                      Field{"local_ports", &ConnectDoneInfo::local_ports,
                            "with EADDRNOTAVAIL: how many ports ip_local_port_range has"},
                      Field{"sockets_to_address", &ConnectDoneInfo::sockets_to_address,
                            "with EADDRNOTAVAIL: sockets of this network namespace to that ip:port, in any state"}};
  }
};

struct ProxyConnectStartInfo {
  Text proxy;
  Text target;
  ProxyKind proxy_kind = ProxyKind::http;
  static constexpr auto fields() {
    return std::tuple{Field{"proxy", &ProxyConnectStartInfo::proxy, "URL of the proxy, without credentials"},
                      Field{"target", &ProxyConnectStartInfo::target, "host:port that it is asked for"},
                      Field{"proxy_kind", &ProxyConnectStartInfo::proxy_kind, "how it is asked"}};
  }
};

struct ProxyConnectDoneInfo {
  Text proxy;
  Text target;
  ProxyKind proxy_kind = ProxyKind::http;
  int status = 0;
  Text error;
  static constexpr auto fields() {
    return std::tuple{Field{"proxy", &ProxyConnectDoneInfo::proxy, "URL of the proxy, without credentials"},
                      Field{"target", &ProxyConnectDoneInfo::target, "host:port that it was asked for"},
                      Field{"proxy_kind", &ProxyConnectDoneInfo::proxy_kind, "how it was asked"},
                      Field{"status", &ProxyConnectDoneInfo::status,
                            "HTTP status of its reply, or SOCKS5 reply (RFC 1928 section 6); 0: success or no reply"},
                      Field{"error", &ProxyConnectDoneInfo::error, "empty: the way is there"}};
  }
};

struct DialDoneInfo {
  Text error;
  Phase phase = Phase::none;
  std::uint64_t duration_ns = 0;
  std::uint32_t attempts = 0;
  std::uint32_t attempts_failed = 0;
  List<Text> tried;
  static constexpr auto fields() {
    return std::tuple{Field{"error", &DialDoneInfo::error, "empty: the connection is usable"},
                      Field{"phase", &DialDoneInfo::phase, "phase that failed"},
                      Field{"duration_ns", &DialDoneInfo::duration_ns, "since why_new"},
                      Field{"attempts", &DialDoneInfo::attempts, "addresses that were connected to"},
                      Field{"attempts_failed", &DialDoneInfo::attempts_failed, "those that did not connect"},
                      Field{"tried", &DialDoneInfo::tried, "\"ip:port: what became of it\", the first 16 in order"}};
  }
};

}  // namespace conntrace
