// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <system_error>

#include "conntrace/clock.h"
#include "conntrace/dial_events.h"
#include "conntrace/ids.h"
#include "conntrace/pool_events.h"
#include "conntrace/request_events.h"
#include "conntrace/tls_events.h"

namespace conntrace {

/// What every hook is told besides its payload. 0 means "does not apply".
struct HookContext {
  MonoTime mono{};              ///< the moment itself, not the moment of the call
  RequestId request = 0;        ///< 0: an event of a connection that no request waits for
  std::uint32_t attempt = 0;    ///< from 1
  ConnectionId connection = 0;  ///< also while it is still being dialled
  std::uint64_t cookie = 0;     ///< SO_COOKIE, once there is a socket
  std::uint64_t netns = 0;      ///< inode of the network namespace the socket is in
};

template <class Info>
using Hook = std::function<void(const HookContext&, const Info&)>;

/// Hooks of one request, or of all requests and connections of a Transport. Any may be empty.
///
///     get_conn ( queue_enter queue_leave )? ( why_new ( dns_start dns_done )? ( connect_start connect_done )*
///       ( tls_handshake_start tls_handshake_done )? ( proxy_connect_start proxy_connect_done )?
///       ( tls_handshake_start tls_handshake_done )? dial_done )? ( got_conn | get_conn_failed )
///     wrote_header_field* wrote_headers wait_100_continue? wrote_request
///     got_first_response_byte ( got_100_continue? got_1xx_response )* response_head body_done put_idle_conn?
///     body_closed request_done
///
/// Every start has exactly one done, on every path: request_start/request_done, get_conn/(got_conn or get_conn_failed)
/// of one attempt, queue_enter/queue_leave, why_new/dial_done, dns, connect, proxy_connect and tls starts and dones.
///
/// Threading: hooks run on the transport's thread, one at a time, and never under a lock.
/// Blocking:  a hook that takes long delays every request of the transport.
/// Errors:    what a hook throws is caught, counted (Transport::hook_exceptions) and dropped.
/// Lifetime:  the views in a payload are gone when the hook returns.
/// Hooks:     of a request's trace run before the transport's; no hook of a request runs after its request_done. Hooks
///            of a dial go to the trace of the request that began it until that request is done, and always to the
///            transport's. wrote_headers and wrote_request mean "accepted by the socket", where Go means "put into a
///            buffer" (golang/go#60576).
/// Source:    net/http/httptrace, whose names are these in CamelCase; the others are ours.
struct ClientTrace {
  /// First of all, once a request.
  Hook<RequestStartInfo> request_start;
  /// Before the pool is asked, also when an idle connection is there; once an attempt.
  Hook<GetConnInfo> get_conn;
  /// When a limit makes the request wait. Not fired while it only waits for its own dial.
  Hook<QueueEnterInfo> queue_enter;
  /// When that wait ends, also by cancellation. Names who held the slots meanwhile and whose release ended it.
  Hook<QueueLeaveInfo> queue_leave;
  /// When a dial begins. context.request is the request that began it; another may get the connection.
  Hook<WhyNewInfo> why_new;
  /// Unless the host is an IP address.
  Hook<DnsStartInfo> dns_start;
  /// With all addresses, or the resolver's error.
  Hook<DnsDoneInfo> dns_done;
  /// For each address tried; several may run at once (Happy Eyeballs). context.cookie is this socket's.
  Hook<ConnectStartInfo> connect_start;
  /// Once for each connect_start, losers and cancelled ones included.
  Hook<ConnectDoneInfo> connect_done;
  /// When the CONNECT was written to the proxy, or, for SOCKS5, when the connection to it is there. Not for http://
  /// targets of an http proxy: nothing is asked of it before the request.
  Hook<ProxyConnectStartInfo> proxy_connect_start;
  /// When the head of its 2xx reply is complete, or it failed. SOCKS5: when what follows begins.
  Hook<ProxyConnectDoneInfo> proxy_connect_done;
  /// When the ClientHello is about to be made. Twice for an https proxy and an https target.
  Hook<TlsHandshakeStartInfo> tls_handshake_start;
  /// When the handshake succeeded, its certificate included, or failed.
  Hook<TlsHandshakeDoneInfo> tls_handshake_done;
  /// With TransportOptions::tls_messages, for each message between tls_handshake_start and _done. Session tickets of
  /// TLS 1.3 come later and are not told.
  Hook<TlsMessageInfo> tls_message;
  /// When the connection is usable, or the dial failed.
  Hook<DialDoneInfo> dial_done;
  /// When the request has its connection. Never after a failure: then get_conn_failed.
  Hook<GotConnInfo> got_conn;
  /// When the request will get no connection in this attempt.
  Hook<GetConnFailedInfo> get_conn_failed;
  /// For each field, when it is serialized.
  Hook<WroteHeaderFieldInfo> wrote_header_field;
  /// When the socket accepted the last byte of the head.
  Hook<WroteHeadersInfo> wrote_headers;
  /// When the body is held back for a 100 (Continue).
  Hook<Wait100ContinueInfo> wait_100_continue;
  /// When the socket accepted the last byte, or writing failed. May come after the response.
  Hook<WroteRequestInfo> wrote_request;
  /// When the first byte of the first response head was read, so of a 1xx if there is one. Once an attempt.
  Hook<GotFirstResponseByteInfo> got_first_response_byte;
  /// For a 100 that wait_100_continue waited for.
  Hook<Got100ContinueInfo> got_100_continue;
  /// For each 1xx but 101, after got_100_continue, with its header fields (Link of a 103, say). An error that it
  /// returns fails the request with that error.
  std::function<std::error_code(const HookContext&, const Got1xxResponseInfo&)> got_1xx_response;
  /// When the final head is complete.
  Hook<ResponseHeadInfo> response_head;
  /// When the last byte of the body was read, or reading it failed. Not fired without a response_head.
  Hook<BodyDoneInfo> body_done;
  /// When the application has let the body wait for body_held_threshold, at most once a pause. The connection is not
  /// read meanwhile and serves no other request.
  Hook<BodyHeldInfo> body_held;
  /// When the application has no more use for the body; once for each response_head.
  Hook<BodyClosedInfo> body_closed;
  /// When the connection was offered to the pool. Empty error: pooled, or handed to the next waiter.
  Hook<PutIdleConnInfo> put_idle_conn;
  /// Once for each connection that was usable, idle ones included. A dial that failed ends with dial_done.
  Hook<ConnClosedInfo> conn_closed;
  /// Before the next attempt of the same request.
  Hook<RetryInfo> retry;
  /// Before the request that follows a redirect.
  Hook<RedirectInfo> redirect;
  /// Last of all, once a request: the barrier.
  Hook<RequestDoneInfo> request_done;
  /// When Transport::publish_snapshot was called. Transport-wide traces only.
  Hook<PoolSnapshotInfo> pool_snapshot;
  /// When a socket could not be had for want of descriptors.
  Hook<FdPressureInfo> fd_pressure;
  /// For each request under way, when a reader asks (Tap). Transport-wide traces only.
  Hook<LiveRequestInfo> live_request;
  /// For each open connection, when a reader asks (Tap). Transport-wide traces only.
  Hook<LiveConnectionInfo> live_connection;

  /// While it is false nobody listens, and hooks need not be called (they may be); null: somebody always may. For what
  /// is there in case somebody comes (Tap): until then it costs next to nothing. Reset it in a copy that adds hooks.
  std::shared_ptr<const std::atomic<bool>> listening;
};

/// A trace that calls `newer`'s hooks, then `older`'s. Neither operand changes. got_1xx_response returns the first
/// error. `listening` is null: each of them decides by itself.
[[nodiscard]] ClientTrace compose(const ClientTrace& newer, const ClientTrace& older);

}  // namespace conntrace
