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
    return std::tuple{Field{"network", &ConnectStartInfo::network, "tcp4 or tcp6"},
                      Field{"address", &ConnectStartInfo::address, "ip:port"},
                      Field{"fd", &ConnectStartInfo::fd, "descriptor of the socket"}};
  }
};

struct ConnectDoneInfo {
  Text network;
  Text address;
  Text local;
  Text error;
  int error_number = 0;
  static constexpr auto fields() {
    return std::tuple{Field{"network", &ConnectDoneInfo::network, "tcp4 or tcp6"},
                      Field{"address", &ConnectDoneInfo::address, "ip:port"},
                      Field{"local", &ConnectDoneInfo::local, "ip:port of this side, if connected"},
                      Field{"error", &ConnectDoneInfo::error, "empty: connected"},
                      Field{"error_number", &ConnectDoneInfo::error_number, "errno, 0 if connected or not known"}};
  }
};

struct TlsHandshakeStartInfo {
  Text server_name;
  static constexpr auto fields() {
    return std::tuple{Field{"server_name", &TlsHandshakeStartInfo::server_name, "SNI"}};
  }
};

struct TlsHandshakeDoneInfo {
  Text version;
  Text cipher;
  Text alpn;
  bool resumed = false;
  Text error;
  static constexpr auto fields() {
    return std::tuple{Field{"version", &TlsHandshakeDoneInfo::version, "TLSv1.3"},
                      Field{"cipher", &TlsHandshakeDoneInfo::cipher, "name of the cipher suite"},
                      Field{"alpn", &TlsHandshakeDoneInfo::alpn, "protocol that ALPN chose"},
                      Field{"resumed", &TlsHandshakeDoneInfo::resumed, "the session was resumed"},
                      Field{"error", &TlsHandshakeDoneInfo::error, "empty: success"}};
  }
};

struct DialDoneInfo {
  Text error;
  Phase phase = Phase::none;
  std::uint64_t duration_ns = 0;
  static constexpr auto fields() {
    return std::tuple{Field{"error", &DialDoneInfo::error, "empty: the connection is usable"},
                      Field{"phase", &DialDoneInfo::phase, "phase that failed"},
                      Field{"duration_ns", &DialDoneInfo::duration_ns, "since why_new"}};
  }
};

}  // namespace conntrace
