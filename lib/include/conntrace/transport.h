// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "conntrace/client_trace.h"
#include "conntrace/dial_function.h"
#include "conntrace/error.h"
#include "conntrace/host_limits.h"
#include "conntrace/pool_snapshot.h"
#include "conntrace/proxy.h"
#include "conntrace/request.h"
#include "conntrace/response.h"
#include "conntrace/tls.h"

namespace conntrace {

/// Limits, times and tastes of a Transport. Names and defaults are Go's (net/http.Transport) where Go has them; what it
/// has not is off by default. A key is (proxy, scheme, host:port); Go says host.
struct TransportOptions {
  std::size_t max_idle_conns = 100;    ///< all keys; beyond it the least recently used is closed; 0: no limit
  int max_idle_conns_per_host = 2;     ///< per key; a returning connection beyond it is closed; 0: 2; <0: keep none
  std::size_t max_conns_per_host = 0;  ///< per key, dialling, active and idle; beyond it requests queue; 0: no limit
  /// All keys, dialling, active and idle; beyond it the least recently used idle connection of another key is closed,
  /// or, with none idle, requests queue. 0: no limit.
  std::size_t max_total_conns = 0;
  std::size_t max_concurrent_dials = 0;  ///< all keys; beyond it requests queue for a dial to end; 0: no limit
  std::size_t max_queue = 0;  ///< per key: requests that may queue; beyond it they fail with queue_full; 0: no limit
  /// How long a request may be without a connection, dials included; then it fails with acquire_timeout. 0: none.
  std::chrono::nanoseconds acquire_timeout{};
  std::chrono::nanoseconds idle_conn_timeout = std::chrono::seconds(90);  ///< 0: none
  /// A connection that is older is not used again; requests on it are not disturbed. 0: none.
  std::chrono::nanoseconds max_conn_lifetime{};
  double max_conn_lifetime_jitter = 0;      ///< 0 … 1: up to this part is taken off, differently for each connection
  std::uint64_t max_requests_per_conn = 0;  ///< then it is closed; 0: no limit
  IdleOrder idle_order = IdleOrder::most_recently_used;
  /// Other values for some hosts, of what is per key or per connection above.
  HostLimitsMap hosts;
  /// Descriptors of the process that are left to the application: with fewer free ones nothing is dialled, as if there
  /// were none. (Without any, idle connections are closed to make room, or requests wait until one is closed.)
  std::size_t fd_reserve = 0;
  std::chrono::nanoseconds dial_timeout = std::chrono::seconds(30);           ///< resolve and connect; 0: none
  std::chrono::nanoseconds tls_handshake_timeout = std::chrono::seconds(10);  ///< 0: none
  std::chrono::nanoseconds response_header_timeout{};  ///< from wrote_request to the final head; 0: none
  std::chrono::nanoseconds expect_continue_timeout = std::chrono::seconds(1);  ///< 0: send the body at once
  std::chrono::nanoseconds send_timeout{};     ///< from got_conn to wrote_request; 0: none
  std::chrono::nanoseconds receive_timeout{};  ///< from the final head to the last byte of the body; 0: none
  /// A body that the application gives up is read on and thrown away, so that its connection can be kept, if no more
  /// than this is left, for no longer than drain_timeout. 0: its connection is closed at once.
  std::size_t drain_bytes = 256u << 10;
  std::chrono::nanoseconds drain_timeout = std::chrono::milliseconds(50);
  /// A body that the application lets wait for longer, holding a connection, is told (body_held); 0: never.
  std::chrono::nanoseconds body_held_threshold = std::chrono::seconds(1);
  bool disable_keep_alives = false;
  std::size_t max_response_header_bytes = 10u << 20;
  std::size_t max_response_body_bytes = 0;  ///< of Response::body; 0: no limit
  DialFunction dial;  ///< makes the connections in place of resolving and connecting; empty: the transport does
  TlsOptions tls;
  std::optional<TlsOptions> proxy_tls;  ///< for https proxies; nothing: `tls` without certificate, name, pin
  ProxyFunction proxy;                  ///< empty: none
  Headers proxy_connect_header;         ///< sent with CONNECT
  ProxyConnectHeaderFunction get_proxy_connect_header;                       ///< asked instead of proxy_connect_header
  bool tls_messages = false;                                                 ///< fire tls_message
  std::chrono::nanoseconds proxy_connect_timeout = std::chrono::minutes(1);  ///< for CONNECT or SOCKS5; 0: none
  std::string user_agent = "conntrace";
  std::size_t resolver_threads = 4;   ///< getaddrinfo runs on these
  std::size_t resolver_queue = 1024;  ///< lookups that may wait; beyond it they fail with queue_full
  /// Hooks of every request and connection.
  std::shared_ptr<const ClientTrace> trace;
};

/// Called once, on the transport's thread, right after request_done.
using Completion = std::function<void(Result<Response>)>;

/// A pool of connections, and the one thread that dials, sends, receives and calls hooks.
///
/// Threading: any thread may call; hooks and completions run on the transport's thread.
/// Lifetime:  the destructor fails what is under way with Errc::shutdown, closes all connections and joins the thread.
///            It must not run on the transport's thread.
/// Errors:    per request, through its completion, with the phase that failed.
/// Source:    go-transport rules: net/http.Transport; libcurl dials (CURLOPT_CONNECT_ONLY).
class Transport {
 public:
  explicit Transport(TransportOptions options = {});
  ~Transport();
  Transport(const Transport&) = delete;
  Transport& operator=(const Transport&) = delete;

  /// Starts a request and returns its number. Never blocks. The completion runs exactly once.
  /// `id`: from reserve_id(), or 0 for the next.
  RequestId send(Request request, Completion done, RequestId id = 0);
  /// Ends a request with Errc::cancelled, if it is still under way. Never blocks.
  void cancel(RequestId request);
  /// Goes on after BodyAction::pause: on_body is called at once with what has arrived meanwhile, maybe nothing. Never
  /// blocks.
  void resume(RequestId request);
  /// Gives up the rest of a response body, as BodyAction::stop does. Never blocks.
  void abandon_body(RequestId request);
  /// A number for a request that is still to be sent, so that what comes before it can name it.
  [[nodiscard]] RequestId reserve_id();
  /// Fires `redirect` for a request that is under way. For clients that follow redirects; from its on_head only.
  void tell_redirect(RequestId request, const RedirectInfo& info);
  /// Runs a task on the transport's thread after a delay, or, with `true`, when the transport ends before that.
  /// Never blocks. The number is for cancel_delayed().
  std::uint64_t run_after(std::chrono::nanoseconds delay, std::function<void(bool ended)> task);
  /// Drops the task unless it has run.
  void cancel_delayed(std::uint64_t number);
  /// Closes what is idle, and what becomes idle before the next request is sent (Go's CloseIdleConnections).
  void close_idle_connections();
  /// The pool's numbers. Blocking: until the transport's thread answers; on that thread it answers at once.
  [[nodiscard]] PoolSnapshot pool_snapshot();
  /// The same by host, in no order; hosts without connections and waiting requests are left out. Blocking: as above.
  [[nodiscard]] std::vector<HostSnapshot> host_snapshots();
  /// Fires pool_snapshot, and with `live` also live_request and live_connection for all there is, on `trace` alone if
  /// it is given, else on the transport's trace. `then` runs after them on the transport's thread. Never blocks.
  void publish_snapshot(std::shared_ptr<const ClientTrace> trace, bool live, std::function<void()> then = {});
  [[nodiscard]] const TransportOptions& options() const noexcept;
  /// Exceptions that hooks and completions threw.
  [[nodiscard]] std::uint64_t hook_exceptions() const noexcept;

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace conntrace
