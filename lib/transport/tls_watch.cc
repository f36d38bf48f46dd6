// SPDX-License-Identifier: Apache-2.0
#include "transport/tls_watch.h"

#include <openssl/x509_vfy.h>

#include <cstring>
#include <string_view>
#include <utility>

#include "http/syntax.h"
#include "transport/alpn.h"

namespace conntrace::transport {
namespace {

constexpr std::string_view kHttp1 = "http/1.1";
constexpr unsigned char kAlpn[] = {8, 'h', 't', 't', 'p', '/', '1', '.', '1'};

/// Where a connection's sessions go. Belongs to its SSL_CTX: tickets come when the dial is long over.
struct SessionPlace {
  TlsSessions* sessions;
  std::string key;
  bool accepted = false;  ///< libcurl accepted the peer
  TlsSession early;       ///< came before that
};

void free_place(void*, void* place, CRYPTO_EX_DATA*, int, long, void*) { delete static_cast<SessionPlace*>(place); }

int watch_index() {
  static const int index = SSL_CTX_get_ex_new_index(0, nullptr, nullptr, nullptr, nullptr);
  return index;
}

int place_index() {
  static const int index = SSL_CTX_get_ex_new_index(0, nullptr, nullptr, nullptr, &free_place);
  return index;
}

SessionPlace* place_of(const SSL_CTX* context) {
  return static_cast<SessionPlace*>(SSL_CTX_get_ex_data(context, place_index()));
}

int new_session_callback(SSL* ssl, SSL_SESSION* session) noexcept {
  SessionPlace* place = place_of(SSL_get_SSL_CTX(ssl));
  if (place == nullptr) return 0;
  // A copy: OpenSSL marks the connection's own as not resumable when the connection ends badly.
  TlsSession copy(SSL_SESSION_dup(session));
  if (place->accepted) {
    place->sessions->put(place->key, std::move(copy));
  } else {
    place->early = std::move(copy);
  }
  return 0;  // OpenSSL keeps its reference
}

const char* message_name(unsigned char type) {
  switch (type) {
    case SSL3_MT_HELLO_REQUEST: return "HelloRequest";
    case SSL3_MT_CLIENT_HELLO: return "ClientHello";
    case SSL3_MT_SERVER_HELLO: return "ServerHello";
    case SSL3_MT_NEWSESSION_TICKET: return "NewSessionTicket";
    case SSL3_MT_ENCRYPTED_EXTENSIONS: return "EncryptedExtensions";
    case SSL3_MT_CERTIFICATE: return "Certificate";
    case SSL3_MT_SERVER_KEY_EXCHANGE: return "ServerKeyExchange";
    case SSL3_MT_CERTIFICATE_REQUEST: return "CertificateRequest";
    case SSL3_MT_SERVER_DONE: return "ServerHelloDone";
    case SSL3_MT_CERTIFICATE_VERIFY: return "CertificateVerify";
    case SSL3_MT_CLIENT_KEY_EXCHANGE: return "ClientKeyExchange";
    case SSL3_MT_FINISHED: return "Finished";
    case SSL3_MT_CERTIFICATE_STATUS: return "CertificateStatus";
    case SSL3_MT_KEY_UPDATE: return "KeyUpdate";
    default: return "unknown";
  }
}

Certificate shared(X509* certificate) {
  if (certificate != nullptr) X509_up_ref(certificate);
  return Certificate(certificate);
}

}  // namespace

TlsWatch::TlsWatch(Listener& listener, SSL_CTX* context, TlsPeer peer, Options options)
    : listener_(listener), peer_(std::move(peer)), options_(std::move(options)) {
  SSL_CTX_up_ref(context);
  context_.reset(context);
  SSL_CTX_set_ex_data(context, watch_index(), this);
  SSL_CTX_set_info_callback(context, &TlsWatch::info_callback);
  SSL_CTX_set_msg_callback(context, &TlsWatch::message_callback);
  SSL_CTX_set_verify(context, SSL_CTX_get_verify_mode(context), &TlsWatch::verify_callback);
  SSL_CTX_set_alpn_protos(context, kAlpn, sizeof kAlpn);
  if (options_.sessions == nullptr) return;
  SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
  SSL_CTX_sess_set_new_cb(context, &new_session_callback);
  SSL_CTX_set_ex_data(context, place_index(),
                      new SessionPlace{.sessions = options_.sessions, .key = options_.session_key, .early = nullptr});
}

TlsWatch::~TlsWatch() { SSL_CTX_set_ex_data(context_.get(), watch_index(), nullptr); }

TlsWatch* TlsWatch::of(const SSL* ssl) {
  return static_cast<TlsWatch*>(SSL_CTX_get_ex_data(SSL_get_SSL_CTX(ssl), watch_index()));
}

void TlsWatch::info_callback(const SSL* ssl, int where, int result) noexcept {
  TlsWatch* watch = of(ssl);
  if (watch == nullptr) return;
  if ((where & SSL_CB_READ_ALERT) == SSL_CB_READ_ALERT) {
    constexpr int kDescription = 0xff;  // above it is the level
    watch->alpn_alert_ |= (result & kDescription) == SSL_AD_NO_APPLICATION_PROTOCOL;
  }
  if ((where & SSL_CB_HANDSHAKE_START) != 0 && !watch->started_) watch->on_start(ssl);
  if ((where & SSL_CB_HANDSHAKE_DONE) != 0 && !watch->ended_) watch->on_done(ssl);
}

void TlsWatch::on_start(const SSL* ssl) {
  started_ = true;
  // OpenSSL has not looked at the session yet: it does when it makes the ClientHello. There is no earlier place at
  // which libcurl shows the SSL.
  ssl_ =
      const_cast<SSL*>(ssl);  // NOLINT(cppcoreguidelines-pro-type-const-cast): the callback's type is older than const
  if (options_.sessions != nullptr) {
    if (const TlsSession session = options_.sessions->take(options_.session_key); session != nullptr) {
      offered_session_ = SSL_set_session(ssl_, session.get()) == 1;
    }
  }
  listener_.on_handshake_start(*this);
}

void TlsWatch::on_done(const SSL* ssl) {
  ended_ = mono_now();
  facts_.version = SSL_get_version(ssl);
  facts_.cipher = SSL_get_cipher_name(ssl);
  facts_.resumed = SSL_session_reused(ssl) == 1;
  facts_.certificate.reset(SSL_get1_peer_certificate(ssl));
  if (const STACK_OF(X509)* chain = SSL_get_peer_cert_chain(ssl); chain != nullptr) {
    facts_.chain_length = static_cast<std::uint32_t>(sk_X509_num(chain));
  }
  facts_.verify_code = static_cast<int>(SSL_get_verify_result(ssl));
}

int TlsWatch::verify_callback(int accepted, X509_STORE_CTX* store) noexcept {
  const auto* ssl = static_cast<const SSL*>(X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx()));
  TlsWatch* watch = ssl != nullptr ? of(ssl) : nullptr;
  if (watch == nullptr) return accepted;
  TlsFacts& facts = watch->facts_;
  if (facts.certificate == nullptr) facts.certificate = shared(X509_STORE_CTX_get0_cert(store));
  if (const STACK_OF(X509)* chain = X509_STORE_CTX_get0_untrusted(store); chain != nullptr) {
    facts.chain_length = static_cast<std::uint32_t>(sk_X509_num(chain));
  }
  if (accepted == 0 && facts.verify_code == X509_V_OK) facts.verify_code = X509_STORE_CTX_get_error(store);
  return accepted;
}

void TlsWatch::message_callback(int sent, int, int type, const void* data, std::size_t size, SSL* ssl, void*) noexcept {
  if (TlsWatch* watch = of(ssl)) watch->on_message(sent != 0, type, static_cast<const unsigned char*>(data), size);
}

void TlsWatch::on_message(bool sent, int type, const unsigned char* data, std::size_t size) {
  if (!sent && !read_any_ && size > 0) {
    read_any_ = true;
    http_ = type == SSL3_RT_HEADER && size >= 5 && std::memcmp(data, "HTTP/", 5) == 0;
  }
  if (!sent && type == SSL3_RT_HANDSHAKE) {
    if (const auto chosen = chosen_protocol({reinterpret_cast<const char*>(data), size})) facts_.alpn = *chosen;
  }
  if (!options_.messages || size == 0) return;
  switch (type) {
    case SSL3_RT_HANDSHAKE: listener_.on_handshake_message(*this, {message_name(data[0]), sent, size}); break;
    case SSL3_RT_ALERT: listener_.on_handshake_message(*this, {"Alert", sent, size}); break;
    case SSL3_RT_CHANGE_CIPHER_SPEC: listener_.on_handshake_message(*this, {"ChangeCipherSpec", sent, size}); break;
    default: break;
  }
}

std::string TlsWatch::declined_http1() const {
  constexpr const char* kOffered = "http/1.1 was offered by ALPN, the server ";
  if (alpn_alert_) return std::string(kOffered) + "refused it: alert no_application_protocol";
  // RFC 7301 allows only what was offered; not every OpenSSL looks.
  if (facts_.alpn.empty() || facts_.alpn == kHttp1) return {};
  return std::string(kOffered) + "chose " + http::quoted(facts_.alpn);
}

void TlsWatch::succeeded() {
  if (ssl_ != nullptr) {  // the rest of the connection's life is nobody's business
    SSL_set_info_callback(ssl_, nullptr);
    SSL_set_msg_callback(ssl_, nullptr);
    ssl_ = nullptr;
  }
  SessionPlace* place = place_of(context_.get());
  if (place == nullptr) return;
  place->accepted = true;
  if (place->early != nullptr) place->sessions->put(place->key, std::move(place->early));
}

TlsFacts TlsWatch::facts(bool refused) {
  if (refused || !ended_) ssl_ = nullptr;
  // A session that led to a failure is not tried again.
  if (refused && offered_session_) options_.sessions->forget(options_.session_key);
  const bool checked_by_us = refused || SSL_CTX_get_verify_mode(context_.get()) == SSL_VERIFY_NONE;
  if (checked_by_us && ended_ && facts_.verify_code == X509_V_OK && facts_.certificate != nullptr &&
      !certificate_is_for(facts_.certificate.get(), peer_.name)) {
    facts_.verify_code = X509_V_ERR_HOSTNAME_MISMATCH;
  }
  return std::move(facts_);
}

}  // namespace conntrace::transport
