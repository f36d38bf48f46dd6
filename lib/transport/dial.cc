// SPDX-License-Identifier: Apache-2.0
#include "transport/dial.h"

#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>

#include "transport/socket_facts.h"

namespace conntrace::transport {
namespace {

constexpr long kHappyEyeballsMs = 300;  // Go's net.Dialer.FallbackDelay
constexpr unsigned char kAlpn[] = {8, 'h', 't', 't', 'p', '/', '1', '.', '1'};

int dial_index() {
  static const int index = SSL_CTX_get_ex_new_index(0, nullptr, nullptr, nullptr, nullptr);
  return index;
}

/// The number may belong to another socket by now; the cookie tells.
bool still_ours(const ConnectAttempt& attempt) {
  return attempt.cookie != 0 && socket_cookie(attempt.fd) == attempt.cookie;
}

}  // namespace

Dial::Dial(Dialer& dialer, DialPlan plan, DialObserver& observer)
    : dialer_(dialer), plan_(std::move(plan)), observer_(observer), share_(curl_share_init()), easy_(curl_easy_init()) {
  configure();
}

Dial::~Dial() {
  forget_ssl();
  if (!in_multi_) return;
  dialer_.dials_.erase(easy_.get());
  end_attempts(ECANCELED);
  if (tls_started_) finish_tls("cancelled");
  curl_multi_remove_handle(dialer_.multi_.get(), easy_.get());
}

void Dial::configure() {
  CURL* easy = easy_.get();
  curl_share_setopt(share_.get(), CURLSHOPT_SHARE, CURL_LOCK_DATA_CONNECT);
  curl_easy_setopt(easy, CURLOPT_SHARE, share_.get());
  curl_easy_setopt(easy, CURLOPT_URL, fmt::format("{}://{}/", plan_.scheme, plan_.host_port).c_str());
  curl_easy_setopt(easy, CURLOPT_CONNECT_ONLY, 1L);
  curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
  curl_easy_setopt(easy, CURLOPT_PROXY, "");  // libcurl must not look at the environment
  curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, error_text_.data());
  curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, 0x7fffffffL);  // the engine's timers decide
  curl_easy_setopt(easy, CURLOPT_HAPPY_EYEBALLS_TIMEOUT_MS, kHappyEyeballsMs);
  curl_easy_setopt(easy, CURLOPT_TCP_KEEPALIVE, 1L);
  curl_easy_setopt(easy, CURLOPT_TCP_KEEPIDLE, 30L);
  curl_easy_setopt(easy, CURLOPT_TCP_KEEPINTVL, 30L);
  curl_easy_setopt(easy, CURLOPT_BUFFERSIZE, 1024L);
  curl_easy_setopt(easy, CURLOPT_OPENSOCKETFUNCTION, &Dial::open_callback);
  curl_easy_setopt(easy, CURLOPT_OPENSOCKETDATA, this);
  curl_easy_setopt(easy, CURLOPT_CLOSESOCKETFUNCTION, &Dialer::close_callback);
  curl_easy_setopt(easy, CURLOPT_CLOSESOCKETDATA, &dialer_);
  curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, CURL_HTTP_VERSION_1_1);
  if (plan_.scheme == "https") {
    curl_easy_setopt(easy, CURLOPT_SSL_ENABLE_ALPN, 0L);
    curl_easy_setopt(easy, CURLOPT_SSL_CTX_FUNCTION, &Dial::ssl_context_callback);
    curl_easy_setopt(easy, CURLOPT_SSL_CTX_DATA, this);
    curl_easy_setopt(easy, CURLOPT_SSL_VERIFYPEER, plan_.verify_peer ? 1L : 0L);
    curl_easy_setopt(easy, CURLOPT_SSL_VERIFYHOST, plan_.verify_peer ? 2L : 0L);
    if (!plan_.ca_file.empty()) curl_easy_setopt(easy, CURLOPT_CAINFO, plan_.ca_file.c_str());
  }
  if (plan_.addresses.empty()) return;
  std::string entry = fmt::format("+{}:{}:", plan_.host, plan_.port);
  for (const std::string& address : plan_.addresses) {
    const bool ipv6 = address.find(':') != std::string::npos;
    entry += ipv6 ? fmt::format("[{}],", address) : address + ",";
  }
  entry.pop_back();
  resolve_.reset(curl_slist_append(nullptr, entry.c_str()));
  curl_easy_setopt(easy, CURLOPT_RESOLVE, resolve_.get());
}

void Dial::begin() {
  dialer_.dials_.emplace(easy_.get(), this);
  in_multi_ = true;
  // Makes the timer callback fire; the dial itself begins on a later turn.
  curl_multi_add_handle(dialer_.multi_.get(), easy_.get());
}

curl_socket_t Dial::open_callback(void* self, curlsocktype, curl_sockaddr* address) noexcept {
  return static_cast<Dial*>(self)->open_socket(*address);
}

curl_socket_t Dial::open_socket(const curl_sockaddr& address) {
  settle();
  const int fd = socket(address.family, address.socktype | SOCK_CLOEXEC | SOCK_NONBLOCK, address.protocol);
  if (fd < 0) {
    socket_error_ = errno;
    if (errno == EMFILE || errno == ENFILE) observer_.on_no_descriptor(errno);
    return CURL_SOCKET_BAD;
  }
  ConnectAttempt attempt;
  attempt.fd = fd;
  attempt.cookie = socket_cookie(fd);
  attempt.address = format_address(&address.addr);
  attempt.ipv6 = address.family == AF_INET6;
  attempts_.push_back(attempt);
  observer_.on_connect_start(attempt, mono_now());
  return fd;
}

CURLcode Dial::ssl_context_callback(CURL*, void* context, void* self) noexcept {
  auto* ssl_context = static_cast<SSL_CTX*>(context);
  auto* dial = static_cast<Dial*>(self);
  SSL_CTX_up_ref(ssl_context);
  dial->ssl_context_.reset(ssl_context);
  SSL_CTX_set_ex_data(ssl_context, dial_index(), dial);
  SSL_CTX_set_info_callback(ssl_context, &Dial::ssl_info_callback);
  SSL_CTX_set_alpn_protos(ssl_context, kAlpn, sizeof kAlpn);
  return CURLE_OK;
}

void Dial::ssl_info_callback(const SSL* ssl, int where, int) noexcept {
  auto* dial = static_cast<Dial*>(SSL_CTX_get_ex_data(SSL_get_SSL_CTX(ssl), dial_index()));
  if (dial != nullptr) dial->on_ssl_info(ssl, where);
}

void Dial::on_ssl_info(const SSL* ssl, int where) {
  if ((where & SSL_CB_HANDSHAKE_START) != 0 && !tls_started_) {
    // TCP is up: say so before TLS begins.
    const int fd = SSL_get_fd(ssl);
    for (ConnectAttempt& attempt : attempts_) {
      const bool connected = attempt.fd == fd || (fd < 0 && tcp_state(attempt.fd) == TcpState::ESTABLISHED);
      if (!connected || attempt.done || !still_ours(attempt)) continue;
      attempt.done = true;
      attempt.ended = mono_now();
      attempt.local = local_address(attempt.fd);
      observer_.on_connect_done(attempt, true, 0, attempt.ended);
      break;
    }
    tls_started_ = true;
    observer_.on_tls_start(mono_now());
  }
  if ((where & SSL_CB_HANDSHAKE_DONE) != 0 && !tls_ended_) {
    tls_ended_ = mono_now();
    tls_.version = SSL_get_version(ssl);
    tls_.cipher = SSL_get_cipher_name(ssl);
    const unsigned char* protocol = nullptr;
    unsigned size = 0;
    SSL_get0_alpn_selected(ssl, &protocol, &size);
    tls_.alpn.assign(reinterpret_cast<const char*>(protocol), size);
    tls_.resumed = SSL_session_reused(ssl) == 1;
  }
}

void Dial::on_unwatched(curl_socket_t fd) {
  for (ConnectAttempt& attempt : attempts_) {
    if (attempt.fd == fd && attempt.ended == MonoTime{}) attempt.ended = mono_now();
  }
}

void Dial::settle() {
  bool first = true;
  for (ConnectAttempt& attempt : attempts_) {
    if (attempt.done || attempt.ended == MonoTime{}) continue;
    if (still_ours(attempt)) {
      const TcpState state = tcp_state(attempt.fd);
      if (state == TcpState::ESTABLISHED || state == TcpState::CLOSE_WAIT) continue;  // finish() or TLS tells its end
    }
    attempt.done = true;
    // libcurl keeps the errno of the attempt that failed last, and no other's.
    observer_.on_connect_done(attempt, false, first ? os_error() : 0, attempt.ended);
    first = false;
  }
}

void Dial::end_attempts(int error_number) {
  for (ConnectAttempt& attempt : attempts_) {
    if (attempt.done) continue;
    attempt.done = true;
    if (attempt.ended == MonoTime{}) attempt.ended = mono_now();
    observer_.on_connect_done(attempt, false, error_number, attempt.ended);
  }
}

void Dial::finish(CURLcode code) {
  dialer_.dials_.erase(easy_.get());
  in_multi_ = false;
  forget_ssl();
  curl_socket_t active = CURL_SOCKET_BAD;
  if (code == CURLE_OK) curl_easy_getinfo(easy_.get(), CURLINFO_ACTIVESOCKET, &active);
  const ConnectAttempt* winner = nullptr;
  for (ConnectAttempt& attempt : attempts_) {
    if (attempt.fd != active || !still_ours(attempt)) continue;
    winner = &attempt;
    if (attempt.done) break;
    attempt.done = true;
    if (attempt.ended == MonoTime{}) attempt.ended = mono_now();
    attempt.local = local_address(attempt.fd);
    observer_.on_connect_done(attempt, true, 0, attempt.ended);
    break;
  }
  end_attempts(code == CURLE_OK ? ECANCELED : os_error());
  if (winner == nullptr) {
    const Error error = failure(code == CURLE_OK ? CURLE_COULDNT_CONNECT : code);
    if (tls_started_) finish_tls(error_text_.front() != '\0' ? error_text_.data() : curl_easy_strerror(code));
    curl_multi_remove_handle(dialer_.multi_.get(), easy_.get());
    observer_.on_dial_failed(error);  // destroys this
    return;
  }
  const ConnectAttempt made = *winner;
  if (plan_.scheme == "https") {
    finish_tls({});
    // The handle outlives this dial, and must not point into it.
    curl_easy_setopt(easy_.get(), CURLOPT_ERRORBUFFER, nullptr);
    curl_easy_setopt(easy_.get(), CURLOPT_OPENSOCKETFUNCTION, nullptr);
    curl_easy_setopt(easy_.get(), CURLOPT_SSL_CTX_FUNCTION, nullptr);
    curl_easy_setopt(easy_.get(), CURLOPT_RESOLVE, nullptr);
    observer_.on_dialled(Stream(dialer_, std::move(share_), std::move(easy_), active), made);
    return;
  }
  dialer_.keep_open_ = active;
  curl_multi_remove_handle(dialer_.multi_.get(), easy_.get());
  dialer_.keep_open_ = CURL_SOCKET_BAD;
  observer_.on_dialled(Stream(active), made);
}

void Dial::finish_tls(const std::string& error) {
  if (!tls_started_) return;
  tls_started_ = false;
  observer_.on_tls_done(error.empty() ? tls_ : TlsFacts{}, error,
                        error.empty() && tls_ended_ ? *tls_ended_ : mono_now());
}

void Dial::forget_ssl() {
  if (ssl_context_ != nullptr) SSL_CTX_set_ex_data(ssl_context_.get(), dial_index(), nullptr);
  ssl_context_.reset();
}

Error Dial::failure(CURLcode code) const {
  if (socket_error_ != 0) return system_error(socket_error_, "socket for " + plan_.host_port, Phase::connect);
  const std::string last = attempts_.empty() ? plan_.host_port : attempts_.back().address;
  const int error_number = os_error();
  if (!tls_started_ && error_number != 0) return system_error(error_number, "connect " + last, Phase::connect);
  const Phase phase = tls_started_ ? Phase::tls : Phase::connect;
  const std::string what = fmt::format("{} {}", tls_started_ ? "TLS handshake with" : "connect", plan_.host_port);
  const std::string detail = error_text_.front() != '\0' ? fmt::format("{} ({})", what, error_text_.data()) : what;
  return {std::error_code(code, curl_category()), detail, phase};
}

int Dial::os_error() const {
  long error_number = 0;
  curl_easy_getinfo(easy_.get(), CURLINFO_OS_ERRNO, &error_number);
  return static_cast<int>(error_number);
}

}  // namespace conntrace::transport
