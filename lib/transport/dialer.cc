// SPDX-License-Identifier: Apache-2.0
#include "transport/dialer.h"

#include <sys/epoll.h>

#include <system_error>

#include "transport/dial.h"
#include "transport/socket_facts.h"

namespace conntrace::transport {

namespace {

/// The same trust, but nothing that is meant for targets: who we are, their name, their key.
TlsOptions for_proxies(TlsOptions options) {
  options.certificate_file.clear();
  options.certificate_pem.clear();
  options.key_file.clear();
  options.key_pem.clear();
  options.key_password.clear();
  options.server_name.clear();
  options.pinned_public_key.clear();
  return options;
}

constexpr std::chrono::seconds kPortUseAge(1);

}  // namespace

/// A descriptor that libcurl wants watched while it dials.
class Dialer::Watch final : public IoHandler {
 public:
  /// libcurl knows the socket as `fd`, the event loop as `watched`.
  Watch(Dialer& dialer, CURL* easy, curl_socket_t fd, int watched)
      : dialer_(dialer), easy_(easy), fd_(fd), watched_(watched), cookie_(socket_cookie(watched)) {}
  /// libcurl 7.88 closes a socket that is still connecting without a word and says CURL_POLL_REMOVE afterwards: by then
  /// the number may be another's, of any thread.
  [[nodiscard]] bool is_stale() const { return socket_cookie(watched_) != cookie_; }
  [[nodiscard]] CURL* easy() const { return easy_; }
  [[nodiscard]] int watched() const { return watched_; }
  void belong_to(CURL* easy) {
    easy_ = easy;
    cookie_ = socket_cookie(watched_);
  }
  void on_io(std::uint32_t epoll_events) override {
    int events = 0;
    if ((epoll_events & (EPOLLIN | EPOLLHUP | EPOLLERR)) != 0) events |= CURL_CSELECT_IN;
    if ((epoll_events & EPOLLOUT) != 0) events |= CURL_CSELECT_OUT;
    if ((epoll_events & EPOLLERR) != 0) events |= CURL_CSELECT_ERR;
    dialer_.look(easy_, fd_);
    dialer_.act(fd_, events);  // may destroy this
  }

 private:
  Dialer& dialer_;
  CURL* easy_;
  curl_socket_t fd_;
  int watched_;
  std::uint64_t cookie_;
};

Dialer::Dialer(EventLoop& loop, const TransportOptions& options)
    : loop_(loop),
      options_(options),
      proxy_tls_(options.proxy_tls ? *options.proxy_tls : for_proxies(options.tls)),
      sessions_(options.tls.max_sessions),
      proxy_sessions_(proxy_tls_.max_sessions) {
  static const CURLcode global = curl_global_init(CURL_GLOBAL_DEFAULT);
  multi_.reset(curl_multi_init());
  if (global != CURLE_OK || multi_ == nullptr) throw std::system_error(ENOMEM, std::system_category(), "libcurl");
  curl_multi_setopt(multi_.get(), CURLMOPT_SOCKETFUNCTION, &Dialer::socket_callback);
  curl_multi_setopt(multi_.get(), CURLMOPT_SOCKETDATA, this);
  curl_multi_setopt(multi_.get(), CURLMOPT_TIMERFUNCTION, &Dialer::timer_callback);
  curl_multi_setopt(multi_.get(), CURLMOPT_TIMERDATA, this);
}

Dialer::~Dialer() { loop_.cancel_timer(timer_); }

std::unique_ptr<Dial> Dialer::start(DialPlan plan, DialObserver& observer) {
  auto dial = std::make_unique<Dial>(*this, std::move(plan), observer);
  dial->begin();
  return dial;
}

Ending Dialer::close_tls(CURL* easy) {
  last_ending_ = {};
  curl_multi_remove_handle(multi_.get(), easy);
  return last_ending_;
}

int Dialer::socket_callback(CURL* easy, curl_socket_t fd, int what, void* self, void*) noexcept {
  auto* dialer = static_cast<Dialer*>(self);
  int watched = fd;
  if (const auto dial = dialer->dials_.find(easy); dial != dialer->dials_.end()) {
    watched = dial->second->before_watch(fd);
    dialer->unsettled_.push_back(easy);
  }
  return dialer->watch(easy, fd, watched, what);
}

int Dialer::timer_callback(CURLM*, long timeout_ms, void* self) noexcept {
  static_cast<Dialer*>(self)->set_timer(timeout_ms);
  return 0;
}

int Dialer::close_callback(void* self, curl_socket_t fd) noexcept {
  auto* dialer = static_cast<Dialer*>(self);
  if (fd == dialer->keep_open_) {
    dialer->keep_open_ = CURL_SOCKET_BAD;
    return 0;
  }
  dialer->last_ending_ = close_socket(fd);
  return 0;
}

void Dialer::end_watch(Watches::iterator known) {
  if (known->second->is_stale()) {
    loop_.forget(known->second.get());
  } else {
    loop_.remove(known->second->watched(), known->second.get());
  }
  watches_.erase(known);
}

void Dialer::stop_watching(CURL* easy, curl_socket_t fd) {
  const auto known = watches_.find(fd);
  if (known != watches_.end() && known->second->easy() == easy) end_watch(known);
}

int Dialer::watch(CURL* easy, curl_socket_t fd, int watched, int what) {
  auto known = watches_.find(fd);
  if (known != watches_.end() && (what == CURL_POLL_REMOVE || known->second->watched() != watched)) {
    end_watch(known);
    known = watches_.end();
  }
  if (what == CURL_POLL_REMOVE) return 0;
  std::uint32_t events = 0;
  if ((what & CURL_POLL_IN) != 0) events |= EPOLLIN;
  if ((what & CURL_POLL_OUT) != 0) events |= EPOLLOUT;
  if (known != watches_.end()) {
    known->second->belong_to(easy);
    if (loop_.modify(watched, events, known->second.get())) return 0;
    // The number is there, the registration is not: the socket was closed behind us and its number given again.
    return loop_.add(watched, events, known->second.get()) ? 0 : -1;
  }
  auto watch = std::make_unique<Watch>(*this, easy, fd, watched);
  if (!loop_.add(watched, events, watch.get())) return -1;
  watches_.emplace(fd, std::move(watch));
  return 0;
}

void Dialer::set_timer(long timeout_ms) {
  loop_.cancel_timer(timer_);
  timer_ = {};
  if (timeout_ms < 0) return;
  timer_ = loop_.set_timer(mono_now() + std::chrono::milliseconds(timeout_ms), [this] { act(CURL_SOCKET_TIMEOUT, 0); });
}

void Dialer::look(CURL* easy, curl_socket_t fd) {
  if (const auto dial = dials_.find(easy); dial != dials_.end()) dial->second->look(fd);
}

void Dialer::act(curl_socket_t fd, int events) {
  int running = 0;
  curl_multi_socket_action(multi_.get(), fd, events, &running);
  collect();
}

std::optional<PortUse> Dialer::ports_to(const std::string& ip_port) {
  const MonoTime now = mono_now();
  if (known_ports_.ip_port != ip_port || known_ports_.at + kPortUseAge < now) {
    known_ports_ = {ip_port, now, port_use(ip_port)};
  }
  return known_ports_.use;
}

void Dialer::collect() {
  // Dials that ended are told so after all attempts are settled: telling may start or abort dials.
  std::vector<std::pair<CURL*, CURLcode>> ended;
  int left = 0;
  while (const CURLMsg* message = curl_multi_info_read(multi_.get(), &left)) {
    if (message->msg == CURLMSG_DONE) ended.emplace_back(message->easy_handle, message->data.result);
  }
  for (CURL* easy : std::exchange(unsettled_, {})) {
    if (const auto dial = dials_.find(easy); dial != dials_.end()) dial->second->settle();
  }
  for (const auto& [easy, code] : ended) {
    if (const auto dial = dials_.find(easy); dial != dials_.end()) dial->second->finish(code);
  }
}

}  // namespace conntrace::transport
