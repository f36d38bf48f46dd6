// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <memory>
#include <optional>
#include <string>

#include "transport/connect_attempts.h"
#include "transport/dialer.h"
#include "transport/tls_watch.h"

namespace conntrace::transport {

/// One dial in progress: libcurl's handle, its callbacks, and what they have told so far.
///
/// The ways that it can take: TCP; then TLS, to an https proxy or target; then CONNECT or SOCKS5; then TLS to an https
/// target behind a proxy.
///
/// Threading: the loop's. Lifetime: destroying it before its end aborts the dial; every start gets its done first, but
/// neither on_dialled nor on_dial_failed comes.
class Dial final : public TlsWatch::Listener {
 public:
  Dial(Dialer& dialer, DialPlan plan, DialObserver& observer);
  ~Dial();
  Dial(const Dial&) = delete;
  Dial& operator=(const Dial&) = delete;

  /// Aborts it. `why` is told of all that has not ended.
  void abort(ConnectOutcome outcome, int error_number, const std::string& why);
  [[nodiscard]] const ConnectAttempts& attempts() const { return attempts_; }

 private:
  friend class Dialer;

  static curl_socket_t open_callback(void* self, curlsocktype purpose, curl_sockaddr* address) noexcept;
  static CURLcode ssl_context_callback(CURL* easy, void* context, void* self) noexcept;
  static std::size_t header_callback(char* data, std::size_t one, std::size_t size, void* self) noexcept;
  static int debug_callback(CURL* easy, curl_infotype type, char* data, std::size_t size, void* self) noexcept;

  // dial_options.cc
  void configure();
  void configure_proxy();
  void configure_tls();

  void begin();
  curl_socket_t open_socket(curl_sockaddr& address);
  curl_socket_t open_placeholder(curl_sockaddr& address);
  /// libcurl waits for this socket. The descriptor to watch instead.
  [[nodiscard]] int before_watch(curl_socket_t fd);
  /// Ends all watching for this dial, while its sockets are there.
  void stop_watching();
  /// A socket of this dial is ready; libcurl is told next.
  void look(curl_socket_t fd);
  /// libcurl has taken a turn.
  void settle();
  void on_connected();
  void begin_proxy();
  [[nodiscard]] bool on_reply_line(std::string_view line);
  void end_proxy(const std::string& error);
  void on_handshake_start(TlsWatch& watch) override;
  void on_handshake_message(const TlsWatch& watch, const TlsMessage& message) override;
  void end_tls(const std::string& error);
  void finish(CURLcode code);
  void succeed(const ConnectAttempt& winner);
  [[nodiscard]] Error failure(CURLcode code) const;
  [[nodiscard]] Error proxy_failure(CURLcode code) const;
  [[nodiscard]] std::string detail(CURLcode code) const;
  [[nodiscard]] int os_error() const;
  [[nodiscard]] int socks_reply() const;
  [[nodiscard]] bool through_http_proxy() const;
  [[nodiscard]] bool tls_to_proxy() const;

  Dialer& dialer_;
  DialPlan plan_;
  DialObserver& observer_;
  std::array<char, CURL_ERROR_SIZE> error_text_{};
  CurlList resolve_;
  CurlList connect_to_;
  CurlList proxy_headers_;
  CurlShare share_;  // before easy_: the handle must go first
  CurlEasy easy_;
  ConnectAttempts attempts_;
  curl_socket_t placeholder_ = CURL_SOCKET_BAD;  ///< until the application's socket takes its place
  curl_socket_t given_ = CURL_SOCKET_BAD;        ///< libcurl's descriptor of the application's socket
  int socket_error_ = 0;
  bool limit_lifted_ = false;  ///< libcurl's own limit for connecting
  enum class Proxy { none, asked, done } proxy_ = Proxy::none;
  int proxy_status_ = 0;
  std::size_t reply_bytes_ = 0;
  bool reply_too_large_ = false;
  std::unique_ptr<TlsWatch> tls_;  ///< of the handshake under way
  int handshakes_ = 0;
  bool in_multi_ = false;
};

}  // namespace conntrace::transport
