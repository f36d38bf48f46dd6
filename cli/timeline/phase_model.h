// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "conntrace/field.h"
#include "conntrace/reasons.h"

namespace conntrace::cli {

// Units: nanoseconds. Moments are relative to the timeline's start_mono_ns; what happened before it is negative (a dial
// that somebody else began).

/// Who held a slot while the request waited.
struct HolderShare {
  std::optional<std::string> request;
  std::uint64_t connection = 0;
  Phase doing = Phase::none;
  double share = 0;
  static constexpr auto fields() {
    return std::tuple{Field{"request", &HolderShare::request, "id of the request; null: an idle connection or a dial"},
                      Field{"connection", &HolderShare::connection, "number of the connection or dial in the slot"},
                      Field{"doing", &HolderShare::doing, "what it did when the wait began"},
                      Field{"share", &HolderShare::share, "part of the wait that it explains"}};
  }
};

/// Waiting for a connection without progress of its own.
struct BlockedFacts {
  std::string cause;
  std::optional<std::uint64_t> limit;
  std::optional<std::uint32_t> position;
  std::optional<std::uint32_t> depth;
  std::optional<QueueOutcome> outcome;
  std::vector<HolderShare> holders;
  double others_share = 0;
  std::optional<std::string> released_by;
  std::optional<std::uint64_t> own_dial;
  static constexpr auto fields() {
    return std::tuple{
        Field{"cause", &BlockedFacts::cause,
              "the limit that bound; or dial: its own dial was under way when another connection came first"},
        Field{"limit", &BlockedFacts::limit, "value of the limit"},
        Field{"position", &BlockedFacts::position, "place in the queue, from 1"},
        Field{"depth", &BlockedFacts::depth, "requests in the queue, this one included"},
        Field{"outcome", &BlockedFacts::outcome, "how the wait ended"},
        Field{"holders", &BlockedFacts::holders, "who held the slots, largest share first"},
        Field{"others_share", &BlockedFacts::others_share, "share of holders that are not listed"},
        Field{"released_by", &BlockedFacts::released_by, "id of the request whose release ended the wait"},
        Field{"own_dial", &BlockedFacts::own_dial, "number of its own dial that was under way meanwhile"}};
  }
};

struct DnsExchange {
  std::string name;
  std::string type;
  std::string server;
  DnsTransport transport = DnsTransport::udp;
  std::optional<std::string> rcode;
  std::vector<std::string> answers;
  std::int64_t sent_ns = 0;
  std::optional<std::uint64_t> latency_ns;
  std::uint32_t retries = 0;
  static constexpr auto fields() {
    return std::tuple{Field{"name", &DnsExchange::name, "the question"},
                      Field{"type", &DnsExchange::type, "A, AAAA, …"},
                      Field{"server", &DnsExchange::server, "ip:port"},
                      Field{"transport", &DnsExchange::transport, "udp or tcp"},
                      Field{"rcode", &DnsExchange::rcode, "null: no answer was seen"},
                      Field{"answers", &DnsExchange::answers, "addresses"},
                      Field{"sent_ns", &DnsExchange::sent_ns, "when it was first sent"},
                      Field{"latency_ns", &DnsExchange::latency_ns, "from the last send to the answer"},
                      Field{"retries", &DnsExchange::retries, "times it was sent again to this server"}};
  }
};

struct KernelDns {
  std::vector<DnsExchange> queries;
  static constexpr auto fields() {
    return std::tuple{Field{"queries", &KernelDns::queries, "packets of this lookup; empty: none was seen"}};
  }
};

struct DnsFacts {
  std::optional<std::string> host;
  std::vector<std::string> addresses;
  std::optional<bool> coalesced;
  std::optional<std::string> error;
  std::optional<KernelDns> kernel;
  static constexpr auto fields() {
    return std::tuple{Field{"host", &DnsFacts::host, "the name"},
                      Field{"addresses", &DnsFacts::addresses, "all addresses, in the resolver's order"},
                      Field{"coalesced", &DnsFacts::coalesced, "another request's lookup answered"},
                      Field{"error", &DnsFacts::error, "the resolver's words"},
                      Field{"kernel", &DnsFacts::kernel, "what went over the wire"}};
  }
};

struct KernelConnect {
  std::optional<std::int64_t> syn_ns;
  std::optional<std::int64_t> established_ns;
  std::uint32_t syn_retransmits = 0;
  std::optional<std::uint32_t> srtt_us;
  static constexpr auto fields() {
    return std::tuple{Field{"syn_ns", &KernelConnect::syn_ns, "when the first SYN was sent"},
                      Field{"established_ns", &KernelConnect::established_ns, "when the handshake was complete"},
                      Field{"syn_retransmits", &KernelConnect::syn_retransmits, "SYNs sent again"},
                      Field{"srtt_us", &KernelConnect::srtt_us, "round trip time after the handshake"}};
  }
};

/// One socket of a dial; a dial has several when addresses fail or race.
struct ConnectAttempt {
  std::string address;
  std::int64_t start_ns = 0;
  std::optional<std::uint64_t> duration_ns;
  std::optional<std::string> error;
  std::optional<int> error_number;
  std::optional<std::uint64_t> cookie;
  std::optional<KernelConnect> kernel;
  static constexpr auto fields() {
    return std::tuple{Field{"address", &ConnectAttempt::address, "ip:port"},
                      Field{"start_ns", &ConnectAttempt::start_ns, "when it began"},
                      Field{"duration_ns", &ConnectAttempt::duration_ns, "null: its end was not seen"},
                      Field{"error", &ConnectAttempt::error, "null: it connected, or its end was not seen"},
                      Field{"errno", &ConnectAttempt::error_number, "number of the error"},
                      Field{"cookie", &ConnectAttempt::cookie, "SO_COOKIE of its socket"},
                      Field{"kernel", &ConnectAttempt::kernel, "what the kernel saw of it"}};
  }
};

struct ConnectFacts {
  std::vector<ConnectAttempt> attempts;
  static constexpr auto fields() {
    return std::tuple{Field{"attempts", &ConnectFacts::attempts, "every socket of the dial, losers included"}};
  }
};

struct TlsFacts {
  std::optional<std::string> server_name;
  std::optional<std::string> version;
  std::optional<std::string> cipher;
  std::optional<std::string> alpn;
  std::optional<bool> resumed;
  std::optional<std::string> error;
  static constexpr auto fields() {
    return std::tuple{Field{"server_name", &TlsFacts::server_name, "SNI"},
                      Field{"version", &TlsFacts::version, "TLSv1.3"},
                      Field{"cipher", &TlsFacts::cipher, "cipher suite"},
                      Field{"alpn", &TlsFacts::alpn, "protocol that ALPN chose"},
                      Field{"resumed", &TlsFacts::resumed, "the session was resumed"},
                      Field{"error", &TlsFacts::error, "why it failed"}};
  }
};

/// What an http proxy (CONNECT) or a SOCKS5 proxy was asked for.
struct ProxyFacts {
  std::optional<std::string> proxy;
  std::optional<std::string> target;
  ProxyKind kind = ProxyKind::http;
  std::optional<int> status;
  std::optional<std::string> error;
  static constexpr auto fields() {
    return std::tuple{Field{"proxy", &ProxyFacts::proxy, "its URL, without credentials"},
                      Field{"target", &ProxyFacts::target, "host:port"},
                      Field{"proxy_kind", &ProxyFacts::kind, "how it was asked"},
                      Field{"status", &ProxyFacts::status, "HTTP status or SOCKS5 reply; null: none was seen"},
                      Field{"error", &ProxyFacts::error, "why there is no way"}};
  }
};

/// One phase. In JSON the facts follow name, start_ns and duration_ns in the same object; send, wait, receive and
/// body_held have none. Facts and name agree: blocked has BlockedFacts, and so on.
struct PhaseTimeline {
  using Facts = std::variant<std::monostate, BlockedFacts, DnsFacts, ConnectFacts, TlsFacts, ProxyFacts>;
  Phase name = Phase::none;
  std::uint64_t start_ns = 0;
  std::uint64_t duration_ns = 0;
  Facts facts;
  [[nodiscard]] std::uint64_t end_ns() const { return start_ns + duration_ns; }
  static constexpr auto fields() {
    return std::tuple{Field{"name", &PhaseTimeline::name, "the phase"},
                      Field{"start_ns", &PhaseTimeline::start_ns, "when it began"},
                      Field{"duration_ns", &PhaseTimeline::duration_ns, "how long it took"}};
  }
};

}  // namespace conntrace::cli
