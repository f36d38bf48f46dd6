// SPDX-License-Identifier: Apache-2.0
#include "transport/dial.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <utility>

#include "transport/socket_facts.h"

namespace conntrace::transport {
namespace {

constexpr long kNoLimitMs = 0x7fffffffL;

}  // namespace

Dial::Dial(Dialer& dialer, DialPlan plan, DialObserver& observer)
    : dialer_(dialer),
      plan_(std::move(plan)),
      observer_(observer),
      share_(curl_share_init()),
      easy_(curl_easy_init()),
      attempts_(observer) {
  if (plan_.given) attempts_.adopt(plan_.given->attempt);
  configure();
}

Dial::~Dial() { abort(ConnectOutcome::abandoned, ECANCELED, "given up"); }

void Dial::abort(ConnectOutcome outcome, int error_number, const std::string& why) {
  if (!in_multi_) return;
  in_multi_ = false;
  dialer_.dials_.erase(easy_.get());
  attempts_.end(outcome, error_number);
  end_tls(why);
  end_proxy(why);
  stop_watching();
  curl_multi_remove_handle(dialer_.multi_.get(), easy_.get());
}

void Dial::stop_watching() {
  for (const ConnectAttempt& attempt : attempts_.all()) {
    if (attempt.fd >= 0) dialer_.stop_watching(easy_.get(), attempt.fd);
  }
  if (plan_.given) plan_.given->fd.reset();
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

curl_socket_t Dial::open_socket(curl_sockaddr& address) {
  if (plan_.given) return open_placeholder(address);
  static_cast<void>(attempts_.settle(os_error()));  // none has connected: libcurl would open no other
  const int fd = socket(address.family, address.socktype | SOCK_CLOEXEC | SOCK_NONBLOCK, address.protocol);
  if (fd < 0) {
    socket_error_ = errno;
    if (errno == EMFILE || errno == ENFILE) observer_.on_no_descriptor(errno);
    return CURL_SOCKET_BAD;
  }
  attempts_.begin(fd, format_address(&address.addr), address.family == AF_INET6);
  return fd;
}

curl_socket_t Dial::open_placeholder(curl_sockaddr& address) {
  errno = EISCONN;  // libcurl asks for a second socket
  UniqueFd fd;
  if (given_ == CURL_SOCKET_BAD) fd = make_placeholder(address.addr, address.addrlen);
  if (!fd.valid()) {
    socket_error_ = errno;
    if (errno == EMFILE || errno == ENFILE) observer_.on_no_descriptor(errno);
    return CURL_SOCKET_BAD;
  }
  address.family = AF_UNIX;
  address.socktype = SOCK_DGRAM;
  address.protocol = 0;
  return placeholder_ = fd.release();
}

int Dial::before_watch(curl_socket_t fd) {
  if (fd == CURL_SOCKET_BAD) return fd;
  if (fd == placeholder_) {
    placeholder_ = CURL_SOCKET_BAD;
    if (dup3(plan_.given->fd.get(), fd, O_CLOEXEC) < 0) {
      shutdown(fd, SHUT_RDWR);  // libcurl finds it dead
      return fd;
    }
    given_ = fd;
    attempts_.move_winner(fd);
    on_connected();
  }
  // The application may hold a duplicate of its socket. Then a registration with epoll outlives libcurl's descriptor,
  // which 7.88 closes before it says so, and only by the registered number can it be ended.
  return fd == given_ && plan_.given->fd.valid() ? plan_.given->fd.get() : fd;
}

void Dial::look(curl_socket_t fd) {
  if (attempts_.look(fd)) on_connected();
}

void Dial::settle() {
  if (attempts_.settle(os_error())) on_connected();
  if (attempts_.winner() == nullptr || limit_lifted_) return;
  // What follows has limits of its own. libcurl reads this one anew at each turn.
  limit_lifted_ = true;
  curl_easy_setopt(easy_.get(), CURLOPT_CONNECTTIMEOUT_MS, kNoLimitMs);
}

void Dial::on_connected() {
  if (plan_.target->tunnelled() && plan_.target->proxy->is_socks()) begin_proxy();
}

bool Dial::tls_to_proxy() const {
  const auto& proxy = plan_.target->proxy;
  return proxy && proxy->is_tls() && !(plan_.given && plan_.given->tls_done);
}

bool Dial::through_http_proxy() const { return plan_.target->tunnelled() && !plan_.target->proxy->is_socks(); }

void Dial::begin_proxy() {
  if (proxy_ != Proxy::none) return;
  proxy_ = Proxy::asked;
  observer_.on_proxy_start(mono_now());
}

int Dial::debug_callback(CURL*, curl_infotype type, char*, std::size_t, void* self) noexcept {
  auto* dial = static_cast<Dial*>(self);
  if (type != CURLINFO_HEADER_OUT) return 0;
  // The CONNECT was written: what comes before it is over.
  if (dial->attempts_.settle(dial->os_error())) dial->on_connected();
  dial->end_tls({});
  dial->begin_proxy();
  return 0;
}

std::size_t Dial::header_callback(char* data, std::size_t, std::size_t size, void* self) noexcept {
  return static_cast<Dial*>(self)->on_reply_line({data, size}) ? size : 0;
}

bool Dial::on_reply_line(std::string_view line) {
  reply_bytes_ += line.size();
  reply_too_large_ = reply_bytes_ > dialer_.options_.max_response_header_bytes;
  if (reply_too_large_) return false;
  constexpr std::size_t kStatusAt = 9;  // "HTTP/1.1 200 OK"
  if (line.starts_with("HTTP/") && line.size() > kStatusAt) {
    proxy_status_ = std::atoi(std::string(line.substr(kStatusAt, 3)).c_str());
  }
  const bool last = line == "\r\n" || line == "\n";
  if (last && proxy_status_ / 100 == 2) end_proxy({});
  return true;
}

void Dial::end_proxy(const std::string& error) {
  if (proxy_ != Proxy::asked) return;
  proxy_ = Proxy::done;
  const int status = plan_.target->proxy->is_socks() ? socks_reply() : proxy_status_;
  observer_.on_proxy_done(status, error, mono_now());
}

CURLcode Dial::ssl_context_callback(CURL*, void* context, void* self) noexcept {
  auto* dial = static_cast<Dial*>(self);
  const Destination& target = *dial->plan_.target;
  const bool to_proxy = dial->tls_to_proxy() && dial->handshakes_ == 0;
  dial->end_tls({});  // with the proxy, if the CONNECT was not seen
  ++dial->handshakes_;
  Dialer& dialer = dial->dialer_;
  const TlsOptions& options = to_proxy ? dialer.proxy_tls_ : dialer.options_.tls;
  TlsPeer peer{.proxy = to_proxy};
  if (to_proxy) {
    peer.name = target.hop_host;
    peer.host_port = target.hop;
  } else {
    peer.name = options.server_name.empty() ? target.host : options.server_name;
    peer.host_port = target.host_port;
  }
  if (!is_ip_address(peer.name)) peer.server_name = peer.name;
  TlsWatch::Options watch{.messages = dialer.options_.tls_messages};
  if (options.resume_sessions) {
    watch.sessions = to_proxy ? &dialer.proxy_sessions_ : &dialer.sessions_;
    // A session stands for what was verified when it was made: the name, by this port, by this proxy.
    watch.session_key = peer.name + " " + peer.host_port + " " + (target.proxy ? target.proxy->text() : "");
  }
  dial->tls_ = std::make_unique<TlsWatch>(*dial, static_cast<SSL_CTX*>(context), std::move(peer), std::move(watch));
  return CURLE_OK;
}

void Dial::on_handshake_start(TlsWatch& watch) {
  // TCP is up, and the proxy has done its part: say so before TLS begins.
  if (attempts_.settle(os_error())) on_connected();
  end_proxy({});
  observer_.on_tls_start(watch.peer(), mono_now());
}

void Dial::on_handshake_message(const TlsWatch& watch, const TlsMessage& message) {
  observer_.on_tls_message(watch.peer(), message);
}

void Dial::end_tls(const std::string& error) {
  if (tls_ == nullptr) return;
  const std::unique_ptr<TlsWatch> watch = std::move(tls_);
  if (!watch->started()) return;
  if (error.empty()) watch->succeeded();
  const TlsFacts facts = watch->facts(!error.empty());
  const MonoTime at = error.empty() && watch->ended() ? *watch->ended() : mono_now();
  observer_.on_tls_done(watch->peer(), facts, error, at);
}

void Dial::finish(CURLcode code) {
  dialer_.dials_.erase(easy_.get());
  in_multi_ = false;
  settle();
  stop_watching();
  curl_socket_t active = CURL_SOCKET_BAD;
  const std::string declined = tls_ != nullptr ? tls_->declined_http1() : std::string();
  if (code == CURLE_OK && declined.empty()) curl_easy_getinfo(easy_.get(), CURLINFO_ACTIVESOCKET, &active);
  if (const ConnectAttempt* winner = attempts_.choose(active); winner != nullptr) {
    succeed(*winner);
    return;
  }
  if (code == CURLE_OK) code = CURLE_COULDNT_CONNECT;
  const bool timed_out = code == CURLE_OPERATION_TIMEDOUT;
  if (attempts_.winner() != nullptr) {
    attempts_.end(ConnectOutcome::lost_race, ECANCELED);
  } else {
    attempts_.end(timed_out ? ConnectOutcome::timed_out : ConnectOutcome::failed, timed_out ? ETIMEDOUT : os_error());
  }
  Error error = failure(code);
  std::string text = detail(code);
  if (error.code == Errc::not_tls) text = error.code.message();
  if (error.code == Errc::not_http1) text = declined;
  end_tls(text);
  end_proxy(text);
  curl_multi_remove_handle(dialer_.multi_.get(), easy_.get());
  observer_.on_dial_failed(std::move(error));  // destroys this
}

void Dial::succeed(const ConnectAttempt& winner) {
  const ConnectAttempt made = winner;
  attempts_.end(ConnectOutcome::lost_race, ECANCELED);
  end_proxy({});
  const bool tls = handshakes_ > 0;
  end_tls({});
  if (tls) {
    // The handle outlives this dial, and must not point into it.
    CURL* easy = easy_.get();
    for (const CURLoption option :
         {CURLOPT_ERRORBUFFER, CURLOPT_OPENSOCKETFUNCTION, CURLOPT_SSL_CTX_FUNCTION, CURLOPT_RESOLVE,
          CURLOPT_CONNECT_TO, CURLOPT_PROXYHEADER, CURLOPT_HEADERFUNCTION, CURLOPT_DEBUGFUNCTION}) {
      curl_easy_setopt(easy, option, nullptr);
    }
    curl_easy_setopt(easy, CURLOPT_HEADERDATA, nullptr);
    curl_easy_setopt(easy, CURLOPT_VERBOSE, 0L);
    observer_.on_dialled(Stream(dialer_, std::move(share_), std::move(easy_), made.fd), made);
    return;
  }
  dialer_.keep_open_ = made.fd;
  curl_multi_remove_handle(dialer_.multi_.get(), easy_.get());
  dialer_.keep_open_ = CURL_SOCKET_BAD;
  observer_.on_dialled(Stream(made.fd), made);
}

int Dial::os_error() const {
  long error_number = 0;
  curl_easy_getinfo(easy_.get(), CURLINFO_OS_ERRNO, &error_number);
  return static_cast<int>(error_number);
}

}  // namespace conntrace::transport
