// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

#include "conntrace/vocabulary.h"

namespace conntrace {

/// The spellings of an enumeration, in the order of its values. Specialized below for every enumeration of the
/// vocabulary.
template <class E>
struct Names;

/// The one spelling of a value: what JSON, docs and tests show.
template <class E>
[[nodiscard]] constexpr std::string_view to_string(E value) {
  const auto index = static_cast<std::size_t>(value);
  return index < Names<E>::list.size() ? Names<E>::list[index] : std::string_view("unknown");
}

/// The value of a spelling; nothing if it is not one of this version's.
template <class E>
[[nodiscard]] constexpr std::optional<E> parse(std::string_view text) {
  for (std::size_t i = 0; i < Names<E>::list.size(); ++i) {
    if (Names<E>::list[i] == text) return static_cast<E>(i);
  }
  return std::nullopt;
}

#define CONNTRACE_ENUM_VALUE(name, meaning) name,
#define CONNTRACE_ENUM_NAME(name, meaning) std::string_view(#name),
#define CONNTRACE_ENUM_MEANING(name, meaning) std::string_view(meaning),
#define CONNTRACE_DEFINE_ENUM(Type, LIST)                                  \
  enum class Type : std::uint8_t { LIST(CONNTRACE_ENUM_VALUE) };           \
  template <>                                                              \
  struct Names<Type> {                                                     \
    static constexpr std::array list = {LIST(CONNTRACE_ENUM_NAME)};        \
    static constexpr std::array meanings = {LIST(CONNTRACE_ENUM_MEANING)}; \
    static constexpr std::string_view type = #Type;                        \
  }

// clang-format off
#define CONNTRACE_SOURCES(X) \
  X(hook, "the library, inside the process") X(kernel, "BPF programs") X(proc, "a poll of /proc") X(diag, "a poll of sock_diag")

#define CONNTRACE_CLOSE_REASONS(X) \
  X(unknown, "neither the library nor the kernel says") \
  X(idle_timeout, "idle longer than idle_conn_timeout") \
  X(max_idle_conns, "least recently used when max_idle_conns was exceeded") \
  X(max_idle_conns_per_host, "returned to a host that already had max_idle_conns_per_host idle") \
  X(max_lifetime, "older than max_conn_lifetime") \
  X(max_requests, "served max_requests_per_conn, or what the server's Keep-Alive allows") \
  X(keep_alives_disabled, "disable_keep_alives, or a negative max_idle_conns_per_host") \
  X(connection_close_request, "the request said Connection: close") \
  X(connection_close_response, "the response said Connection: close, or its end is the connection's end") \
  X(server_closed_idle, "the peer sent FIN while the connection was idle") \
  X(server_reset_idle, "the peer sent RST while the connection was idle") \
  X(stale_on_check, "found unusable when it was about to be reused") \
  X(body_abandoned, "the application did not read the body to its end") \
  X(request_cancelled, "the request on it was cancelled") \
  X(request_timeout, "the request on it exceeded its time") \
  X(protocol_error, "the peer's bytes were not HTTP") \
  X(tls_error, "TLS failed") \
  X(write_error, "sending failed") \
  X(read_error, "receiving failed, or the peer closed in the middle of an exchange") \
  X(close_idle_connections, "close_idle_connections was called") \
  X(fd_pressure, "descriptors were needed elsewhere") \
  X(transport_shutdown, "the transport ended") \
  X(dial_lost_race, "another address of the same dial connected first") \
  X(dial_failed, "the dial ended in an error before the connection was usable") \
  X(request_not_sent, "the request was not sent as a whole: the response came first, or its body failed") \
  X(handed_over, "101 or CONNECT: the application owns the socket now") \
  X(keep_alive_timeout, "idle for nearly as long as the server's Keep-Alive: timeout allows") \
  X(max_total_conns, "idle when a request to another host needed its place under max_total_conns")

#define CONNTRACE_CLOSED_BY(X) X(unknown, "not known") X(local, "this side") X(peer, "the other side")

#define CONNTRACE_CLOSE_HOW(X) \
  X(unknown, "not known") X(fin, "by FIN; no RST was seen") X(reset, "RST received") X(abort, "RST sent") \
  X(timeout, "given up after retransmits") X(refused, "the connect was refused")

#define CONNTRACE_WHY_NEW(X) \
  X(no_idle, "no connection to this key was open") \
  X(all_busy, "every open connection to this key was in use") \
  X(idle_expired, "the idle one had been idle too long, for us or for its server") \
  X(idle_dead, "the peer had closed the idle one") \
  X(idle_evicted, "the idle one had been evicted by a limit or by close_idle_connections") \
  X(key_differs, "open connections differ in proxy, scheme, host or port") \
  X(keep_alives_disabled, "connections are not kept") \
  X(max_requests, "the idle one had served its last request") \
  X(max_lifetime, "the idle one was too old") \
  X(fd_pressure, "idle ones were closed to free descriptors") \
  X(unknown, "not known")

#define CONNTRACE_LIMITS(X) \
  X(max_conns_per_host, "connections of this key, dialling ones included") \
  X(max_total_conns, "connections of the transport") \
  X(max_concurrent_dials, "dials at one time") \
  X(max_concurrent_streams, "HTTP/2 streams that the peer allows") \
  X(fd_limit, "descriptors of the process")

#define CONNTRACE_QUEUE_OUTCOMES(X) \
  X(handoff, "a finishing request handed its connection over") \
  X(slot_freed, "a slot became free and the request dials") \
  X(dial_donated, "a dial that nobody waited for any more came to it") \
  X(cancelled, "the request was cancelled") \
  X(timeout, "its time ran out in the queue") \
  X(shutdown, "the transport ended")

#define CONNTRACE_PHASES(X) \
  X(none, "outside any phase") X(blocked, "waits for a connection") X(dns, "name resolution") X(connect, "TCP connect") \
  X(tls, "TLS handshake") X(send, "request is sent") X(wait, "for the first byte") X(receive, "head and body arrive") \
  X(body_held, "all has arrived, the application keeps the connection") \
  X(proxy, "the proxy makes the way to the target")

#define CONNTRACE_CONNECT_OUTCOMES(X) \
  X(unknown, "it did not connect, and nobody says why") \
  X(connected, "the TCP handshake completed") \
  X(failed, "the kernel refused or failed it; error_number says how") \
  X(lost_race, "another address of the same dial connected first") \
  X(timed_out, "its time ran out") \
  X(abandoned, "the dial was given up: nobody waits for it, or the transport ended")

#define CONNTRACE_PROXY_KINDS(X) X(http, "CONNECT, RFC 9110 section 9.3.6") X(socks5, "RFC 1928")

#define CONNTRACE_BODY_OUTCOMES(X) \
  X(complete, "read to its end") X(abandoned, "given up before its end") X(none, "the response had no body") X(failed, "reading failed") \
  X(drained, "given up before its end; its short rest was read and thrown away to keep the connection")

#define CONNTRACE_TCP_STATES(X) \
  X(NONE, "") X(ESTABLISHED, "") X(SYN_SENT, "") X(SYN_RECV, "") X(FIN_WAIT1, "") X(FIN_WAIT2, "") X(TIME_WAIT, "") \
  X(CLOSE, "") X(CLOSE_WAIT, "") X(LAST_ACK, "") X(LISTEN, "") X(CLOSING, "") X(NEW_SYN_RECV, "")

#define CONNTRACE_DIRECTIONS(X) X(unknown, "not known") X(outgoing, "connect") X(incoming, "accept")
#define CONNTRACE_DNS_TRANSPORTS(X) X(udp, "") X(tcp, "")
#define CONNTRACE_GAP_REASONS(X) \
  X(unknown, "not known") \
  X(ring_full, "the kernel's ring buffer was full") X(map_full, "a kernel map was full") X(slow_reader, "the reader did not keep up") \
  X(malformed, "a record could not be understood") X(source_lost, "the source went away") X(write_failed, "the output refused it")
// clang-format on

CONNTRACE_DEFINE_ENUM(Source, CONNTRACE_SOURCES);
CONNTRACE_DEFINE_ENUM(CloseReason, CONNTRACE_CLOSE_REASONS);
CONNTRACE_DEFINE_ENUM(ClosedBy, CONNTRACE_CLOSED_BY);
CONNTRACE_DEFINE_ENUM(CloseHow, CONNTRACE_CLOSE_HOW);
CONNTRACE_DEFINE_ENUM(WhyNew, CONNTRACE_WHY_NEW);
CONNTRACE_DEFINE_ENUM(Limit, CONNTRACE_LIMITS);
CONNTRACE_DEFINE_ENUM(QueueOutcome, CONNTRACE_QUEUE_OUTCOMES);
CONNTRACE_DEFINE_ENUM(Phase, CONNTRACE_PHASES);
CONNTRACE_DEFINE_ENUM(ConnectOutcome, CONNTRACE_CONNECT_OUTCOMES);
CONNTRACE_DEFINE_ENUM(ProxyKind, CONNTRACE_PROXY_KINDS);
CONNTRACE_DEFINE_ENUM(BodyOutcome, CONNTRACE_BODY_OUTCOMES);
/// Values are the kernel's TCP_ESTABLISHED = 1 … (include/net/tcp_states.h).
CONNTRACE_DEFINE_ENUM(TcpState, CONNTRACE_TCP_STATES);
CONNTRACE_DEFINE_ENUM(Direction, CONNTRACE_DIRECTIONS);
CONNTRACE_DEFINE_ENUM(DnsTransport, CONNTRACE_DNS_TRANSPORTS);
CONNTRACE_DEFINE_ENUM(GapReason, CONNTRACE_GAP_REASONS);

#define CONNTRACE_KIND_VALUE(name, payload, origin, meaning) name,
#define CONNTRACE_KIND_NAME(name, payload, origin, meaning) std::string_view(#name),
#define CONNTRACE_KIND_MEANING(name, payload, origin, meaning) std::string_view(meaning),
/// One row of vocabulary.h.
enum class EventKind : std::uint8_t { CONNTRACE_EVENTS(CONNTRACE_KIND_VALUE) };
template <>
struct Names<EventKind> {
  static constexpr std::array list = {CONNTRACE_EVENTS(CONNTRACE_KIND_NAME)};
  static constexpr std::array meanings = {CONNTRACE_EVENTS(CONNTRACE_KIND_MEANING)};
  static constexpr std::string_view type = "EventKind";
};

}  // namespace conntrace
