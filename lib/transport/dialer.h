// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/curl_handles.h"
#include "conntrace/clock.h"
#include "conntrace/transport.h"
#include "transport/destination.h"
#include "transport/dial_observer.h"
#include "transport/event_loop.h"
#include "transport/given_socket.h"
#include "transport/local_ports.h"
#include "transport/stream.h"
#include "transport/tls_sessions.h"

namespace conntrace::transport {

struct DialPlan {
  std::shared_ptr<const Destination> target;
  std::vector<std::string> addresses;  ///< of the first hop, in the order to try; empty: the hop is an address
  Headers connect_header;              ///< for CONNECT
  MonoTime connect_limit{};            ///< for all addresses together; 0: none
  std::optional<GivenSocket> given;    ///< it is connected already
};

class Dial;

/// Makes connections: libcurl does Happy Eyeballs, proxies, TLS and certificate checks (CURLOPT_CONNECT_ONLY, one
/// multi, one share per dial); what it made is then ours.
///
/// A plain socket is taken out of libcurl in CLOSESOCKETFUNCTION; a TLS connection keeps its handle.
///
/// Threading: the loop's. Lifetime: must outlive its Dials and Streams.
/// Source:    libcurl 7.88 and newer; curl#11439 (closes behind the callback before 8.2) is why attempts are settled by
///            looking at their sockets.
class Dialer {
 public:
  /// The options must outlive it.
  Dialer(EventLoop& loop, const TransportOptions& options);
  ~Dialer();

  /// Begins. The observer must live until it was told the end, or the Dial is destroyed, which aborts it.
  [[nodiscard]] std::unique_ptr<Dial> start(DialPlan plan, DialObserver& observer);

  /// For Stream: ends a TLS connection.
  Ending close_tls(CURL* easy);
  /// port_use, at most once a second for one ip:port: a client that is out of ports dials often.
  [[nodiscard]] std::optional<PortUse> ports_to(const std::string& ip_port);

 private:
  friend class Dial;
  class Watch;

  static int socket_callback(CURL* easy, curl_socket_t fd, int what, void* self, void* watch) noexcept;
  static int timer_callback(CURLM* multi, long timeout_ms, void* self) noexcept;
  static int close_callback(void* self, curl_socket_t fd) noexcept;

  int watch(CURL* easy, curl_socket_t fd, int watched, int what);
  void stop_watching(CURL* easy, curl_socket_t fd);
  void set_timer(long timeout_ms);
  void act(curl_socket_t fd, int events);
  void look(CURL* easy, curl_socket_t fd);
  void collect();

  EventLoop& loop_;
  CurlMulti multi_;
  using Watches = std::unordered_map<curl_socket_t, std::unique_ptr<Watch>>;
  void end_watch(Watches::iterator known);
  Watches watches_;
  std::unordered_map<CURL*, Dial*> dials_;
  std::vector<CURL*> unsettled_;  ///< dials that libcurl has worked on in this turn
  const TransportOptions& options_;
  TlsOptions proxy_tls_;
  TlsSessions sessions_;
  TlsSessions proxy_sessions_;
  struct KnownPorts {
    std::string ip_port;
    MonoTime at{};
    std::optional<PortUse> use;
  } known_ports_;
  EventLoop::Timer timer_{};
  curl_socket_t keep_open_ = CURL_SOCKET_BAD;
  Ending last_ending_ = {};
};

}  // namespace conntrace::transport
