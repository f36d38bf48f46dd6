// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <openssl/ssl.h>

#include <optional>
#include <string>

#include "base/owned.h"
#include "conntrace/clock.h"
#include "transport/certificate_facts.h"
#include "transport/tls_sessions.h"

namespace conntrace::transport {

using SslContext = Owned<SSL_CTX, SSL_CTX_free>;

/// With whom a handshake is.
struct TlsPeer {
  std::string name;         ///< that its certificate must be for
  std::string server_name;  ///< SNI; empty: none, as for IP addresses
  std::string host_port;
  bool proxy = false;
};

/// What became of a handshake.
struct TlsFacts {
  std::string version;
  std::string cipher;
  std::string alpn;
  bool resumed = false;
  Certificate certificate;  ///< the peer's, as far as it came; also when it was refused
  std::uint32_t chain_length = 0;
  int verify_code = 0;  ///< X509_V_ERR_…
};

struct TlsMessage {
  const char* name = "";
  bool sent = false;
  std::size_t bytes = 0;
};

/// Watches one TLS handshake that libcurl makes: OpenSSL's callbacks on libcurl's SSL_CTX.
///
/// Threading: the loop's. Lifetime: may end before the connection; session tickets of TLS 1.3 that come later are still
/// kept for resumption, so `sessions` must outlive the connection.
/// Source:    SSL_CTX_set_info_callback(3), SSL_CTX_set_msg_callback(3), SSL_CTX_sess_set_new_cb(3).
class TlsWatch {
 public:
  class Listener {
   public:
    virtual void on_handshake_start(TlsWatch& watch) = 0;
    virtual void on_handshake_message(const TlsWatch& watch, const TlsMessage& message) = 0;

   protected:
    ~Listener() = default;
  };
  struct Options {
    TlsSessions* sessions = nullptr;  ///< nullptr: none are kept
    std::string session_key;
    bool messages = false;  ///< tell them
  };

  TlsWatch(Listener& listener, SSL_CTX* context, TlsPeer peer, Options options);
  ~TlsWatch();
  TlsWatch(const TlsWatch&) = delete;
  TlsWatch& operator=(const TlsWatch&) = delete;

  /// libcurl accepted the peer: its sessions may be resumed.
  void succeeded();
  /// What is known now. `refused`: libcurl did not accept the peer after a handshake that went well.
  [[nodiscard]] TlsFacts facts(bool refused);
  [[nodiscard]] const TlsPeer& peer() const { return peer_; }
  [[nodiscard]] bool started() const { return started_; }
  /// When OpenSSL called it done.
  [[nodiscard]] std::optional<MonoTime> ended() const { return ended_; }
  /// The peer's first bytes were those of an HTTP response.
  [[nodiscard]] bool peer_speaks_http() const { return http_; }
  /// How the peer declined HTTP/1.1, the one protocol that ALPN (RFC 7301) offered it; empty: it did not.
  [[nodiscard]] std::string declined_http1() const;

 private:
  static TlsWatch* of(const SSL* ssl);
  static void info_callback(const SSL* ssl, int where, int result) noexcept;
  static void message_callback(int sent, int version, int type, const void* data, std::size_t size, SSL* ssl,
                               void* unused) noexcept;
  static int verify_callback(int accepted, X509_STORE_CTX* store) noexcept;

  void on_start(const SSL* ssl);
  void on_done(const SSL* ssl);
  void on_message(bool sent, int type, const unsigned char* data, std::size_t size);

  Listener& listener_;
  SslContext context_;
  const TlsPeer peer_;
  const Options options_;
  SSL* ssl_ = nullptr;  ///< libcurl's; from the start on, while the handshake lasts
  bool started_ = false;
  bool http_ = false;
  bool alpn_alert_ = false;
  bool read_any_ = false;
  bool offered_session_ = false;
  std::optional<MonoTime> ended_;
  TlsFacts facts_;
};

}  // namespace conntrace::transport
