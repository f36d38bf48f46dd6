// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <openssl/ssl.h>

#include <array>
#include <optional>
#include <vector>

#include "base/owned.h"
#include "transport/dialer.h"

namespace conntrace::transport {

using SslContext = Owned<SSL_CTX, SSL_CTX_free>;

/// One dial in progress: libcurl's handle, its callbacks, and what they have told so far.
///
/// Threading: the loop's. Lifetime: destroying it before its end aborts the dial; every on_connect_start and
/// on_tls_start gets its done first, but neither on_dialled nor on_dial_failed comes.
class Dial {
 public:
  Dial(Dialer& dialer, DialPlan plan, DialObserver& observer);
  ~Dial();
  Dial(const Dial&) = delete;
  Dial& operator=(const Dial&) = delete;

 private:
  friend class Dialer;

  static curl_socket_t open_callback(void* self, curlsocktype purpose, curl_sockaddr* address) noexcept;
  static CURLcode ssl_context_callback(CURL* easy, void* context, void* self) noexcept;
  static void ssl_info_callback(const SSL* ssl, int where, int result) noexcept;

  void begin();
  void configure();
  curl_socket_t open_socket(const curl_sockaddr& address);
  void on_ssl_info(const SSL* ssl, int where);
  /// libcurl stopped watching the socket: it connected, failed, or lost.
  void on_unwatched(curl_socket_t fd);
  /// Tells the observer of attempts that have ended.
  void settle();
  void finish(CURLcode code);
  void finish_tls(const std::string& error);
  void end_attempts(int error_number);
  void forget_ssl();
  [[nodiscard]] Error failure(CURLcode code) const;
  [[nodiscard]] int os_error() const;

  Dialer& dialer_;
  DialPlan plan_;
  DialObserver& observer_;
  std::array<char, CURL_ERROR_SIZE> error_text_{};
  CurlList resolve_;
  CurlShare share_;  // before easy_: the handle must go first
  CurlEasy easy_;
  std::vector<ConnectAttempt> attempts_;
  int socket_error_ = 0;
  SslContext ssl_context_;
  bool tls_started_ = false;
  std::optional<MonoTime> tls_ended_;
  TlsFacts tls_;
  bool in_multi_ = false;
};

}  // namespace conntrace::transport
