// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/curl_handles.h"
#include "conntrace/clock.h"
#include "conntrace/error.h"
#include "transport/event_loop.h"
#include "transport/stream.h"

namespace conntrace::transport {

struct DialPlan {
  std::string scheme;
  std::string host;       ///< for SNI and certificate checks
  std::string host_port;  ///< IPv6 in brackets
  std::uint16_t port = 0;
  std::vector<std::string> addresses;  ///< resolved, in the order to try; empty: the host is an address
  bool verify_peer = true;
  std::string ca_file;
};

/// One socket of a dial; Happy Eyeballs (RFC 8305) may open several.
struct ConnectAttempt {
  int fd = -1;
  std::uint64_t cookie = 0;
  std::string address;  ///< ip:port
  std::string local;    ///< ip:port, once connected
  bool ipv6 = false;
  MonoTime ended{};   ///< when libcurl let go of it, or saw it connected
  bool done = false;  ///< on_connect_done was called
};

struct TlsFacts {
  std::string version;
  std::string cipher;
  std::string alpn;
  bool resumed = false;
};

/// Hears of one dial. Calls come on the loop's thread; those of one dial end with on_dialled or on_dial_failed.
class DialObserver {
 public:
  virtual void on_connect_start(const ConnectAttempt& attempt, MonoTime at) = 0;
  /// error_number 0 with connected false: libcurl does not say why.
  virtual void on_connect_done(const ConnectAttempt& attempt, bool connected, int error_number, MonoTime at) = 0;
  virtual void on_tls_start(MonoTime at) = 0;
  virtual void on_tls_done(const TlsFacts& facts, const std::string& error, MonoTime at) = 0;
  /// socket(2) failed for want of descriptors.
  virtual void on_no_descriptor(int error_number) = 0;
  virtual void on_dialled(Stream stream, const ConnectAttempt& attempt) = 0;
  virtual void on_dial_failed(Error error) = 0;

 protected:
  ~DialObserver() = default;
};

class Dial;

/// Makes connections: libcurl does Happy Eyeballs, TLS and certificate checks (CURLOPT_CONNECT_ONLY, one multi, one
/// share per dial); what it made is then ours.
///
/// A plain socket is taken out of libcurl in CLOSESOCKETFUNCTION; a TLS connection keeps its handle.
///
/// Threading: the loop's. Lifetime: must outlive its Dials and Streams.
/// Source:    libcurl 7.88 and newer; curl#11439 (closes behind the callback before 8.2) is why attempts are settled by
///            looking at their sockets.
class Dialer {
 public:
  explicit Dialer(EventLoop& loop);
  ~Dialer();

  /// Begins. The observer must live until it was told the end, or the Dial is destroyed, which aborts it.
  [[nodiscard]] std::unique_ptr<Dial> start(DialPlan plan, DialObserver& observer);

  /// For Stream: ends a TLS connection.
  Ending close_tls(CURL* easy);

 private:
  friend class Dial;
  class Watch;

  static int socket_callback(CURL* easy, curl_socket_t fd, int what, void* self, void* watch) noexcept;
  static int timer_callback(CURLM* multi, long timeout_ms, void* self) noexcept;
  static int close_callback(void* self, curl_socket_t fd) noexcept;

  int watch(curl_socket_t fd, int what);
  void set_timer(long timeout_ms);
  void act(curl_socket_t fd, int events);
  void collect();

  EventLoop& loop_;
  CurlMulti multi_;
  std::unordered_map<curl_socket_t, std::unique_ptr<Watch>> watches_;
  std::unordered_map<CURL*, Dial*> dials_;
  std::vector<CURL*> unsettled_;  ///< dials with a socket that libcurl has let go of
  EventLoop::Timer timer_{};
  curl_socket_t keep_open_ = CURL_SOCKET_BAD;
  Ending last_ending_ = {};
};

}  // namespace conntrace::transport
