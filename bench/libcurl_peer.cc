// SPDX-License-Identifier: Apache-2.0
#include <sys/epoll.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <vector>

#include "base/curl_handles.h"
#include "peer.h"

namespace conntrace::bench {
namespace {

using Clock = std::chrono::steady_clock;
constexpr int kObserveMs = 10;

struct Transfer {
  CurlEasy easy{curl_easy_init()};
  std::string body;
};

std::size_t on_body(char* data, std::size_t, std::size_t size, void* body) {
  static_cast<std::string*>(body)->append(data, size);
  return size;
}

/// Transfers that begin again when they end, on handles that are kept, so that libcurl reuses all it can.
class Multi {
 public:
  explicit Multi(const Load& load) : transfers_(load.concurrency) {
    curl_multi_setopt(handle(), CURLMOPT_MAXCONNECTS, static_cast<long>(load.concurrency));
    curl_multi_setopt(handle(), CURLMOPT_PIPELINING, CURLPIPE_NOTHING);
  }
  void start(const Load& load) {
    for (Transfer& transfer : transfers_) {
      CURL* easy = transfer.easy.get();
      curl_easy_setopt(easy, CURLOPT_URL, load.url.c_str());
      curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, static_cast<long>(CURL_HTTP_VERSION_1_1));
      curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
      curl_easy_setopt(easy, CURLOPT_USERAGENT, "conntrace");
      curl_easy_setopt(easy, CURLOPT_PROXY, "");
      if (!load.ca_file.empty()) curl_easy_setopt(easy, CURLOPT_CAINFO, load.ca_file.c_str());
      curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_body);
      curl_easy_setopt(easy, CURLOPT_WRITEDATA, &transfer.body);
      curl_easy_setopt(easy, CURLOPT_PRIVATE, &transfer);
      curl_multi_add_handle(handle(), easy);
    }
  }
  ~Multi() {
    for (Transfer& transfer : transfers_) curl_multi_remove_handle(handle(), transfer.easy.get());
  }
  Multi(const Multi&) = delete;
  Multi& operator=(const Multi&) = delete;

  /// Counts what has ended and begins it again.
  void renew() {
    int left = 0;
    while (const CURLMsg* message = curl_multi_info_read(handle(), &left)) {
      if (message->msg != CURLMSG_DONE) continue;
      CURL* easy = message->easy_handle;
      Transfer* transfer = nullptr;
      long status = 0;
      curl_easy_getinfo(easy, CURLINFO_PRIVATE, &transfer);
      curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &status);
      ++tally.requests;
      if (message->data.result != CURLE_OK || status != 200) ++tally.failed;
      tally.body_bytes += transfer->body.size();
      transfer->body.clear();
      curl_multi_remove_handle(handle(), easy);
      curl_multi_add_handle(handle(), easy);
    }
  }
  [[nodiscard]] CURLM* handle() const { return multi_.get(); }

  Tally tally;

 private:
  CurlMulti multi_{curl_multi_init()};
  std::vector<Transfer> transfers_;
};

/// Observes when it is time to.
class Observer {
 public:
  explicit Observer(const Observe& observe) : observe_(observe) {}
  bool goes_on(const Tally& tally) {
    const auto now = Clock::now();
    if (now < next_) return true;
    next_ = now + std::chrono::milliseconds(kObserveMs);
    return observe_(tally);
  }

 private:
  const Observe& observe_;
  Clock::time_point next_ = Clock::now();
};

struct SocketLoop {
  int epoll = epoll_create1(EPOLL_CLOEXEC);
  Clock::time_point deadline = Clock::time_point::max();

  static int on_socket(CURL*, curl_socket_t fd, int what, void* self, void*) {
    const auto& loop = *static_cast<SocketLoop*>(self);
    epoll_event event{};
    event.data.fd = fd;
    if (what == CURL_POLL_REMOVE) return epoll_ctl(loop.epoll, EPOLL_CTL_DEL, fd, nullptr), 0;
    if ((what & CURL_POLL_IN) != 0) event.events |= EPOLLIN;
    if ((what & CURL_POLL_OUT) != 0) event.events |= EPOLLOUT;
    if (epoll_ctl(loop.epoll, EPOLL_CTL_MOD, fd, &event) != 0) epoll_ctl(loop.epoll, EPOLL_CTL_ADD, fd, &event);
    return 0;
  }
  static int on_timer(CURLM*, long ms, void* self) {
    static_cast<SocketLoop*>(self)->deadline =
        ms < 0 ? Clock::time_point::max() : Clock::now() + std::chrono::milliseconds(ms);
    return 0;
  }
  [[nodiscard]] int wait_ms() const {
    if (deadline == Clock::time_point::max()) return kObserveMs;
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - Clock::now()).count();
    return static_cast<int>(std::clamp<long>(left, 0, kObserveMs));
  }
};

}  // namespace

void run_libcurl_socket(const Load& load, const Observe& observe) {
  SocketLoop loop;
  {
    Multi multi(load);
    curl_multi_setopt(multi.handle(), CURLMOPT_SOCKETFUNCTION, SocketLoop::on_socket);
    curl_multi_setopt(multi.handle(), CURLMOPT_SOCKETDATA, &loop);
    curl_multi_setopt(multi.handle(), CURLMOPT_TIMERFUNCTION, SocketLoop::on_timer);
    curl_multi_setopt(multi.handle(), CURLMOPT_TIMERDATA, &loop);
    multi.start(load);
    Observer observer(observe);
    std::array<epoll_event, 256> events;
    int running = 0;
    while (observer.goes_on(multi.tally)) {
      const int count = epoll_wait(loop.epoll, events.data(), static_cast<int>(events.size()), loop.wait_ms());
      for (int i = 0; i < count; ++i) {
        int mask = 0;
        if ((events[i].events & EPOLLIN) != 0) mask |= CURL_CSELECT_IN;
        if ((events[i].events & EPOLLOUT) != 0) mask |= CURL_CSELECT_OUT;
        if ((events[i].events & (EPOLLERR | EPOLLHUP)) != 0) mask |= CURL_CSELECT_ERR;
        curl_multi_socket_action(multi.handle(), events[i].data.fd, mask, &running);
      }
      multi.renew();
      if (loop.deadline <= Clock::now()) {
        loop.deadline = Clock::time_point::max();
        curl_multi_socket_action(multi.handle(), CURL_SOCKET_TIMEOUT, 0, &running);
        multi.renew();
      }
    }
  }
  close(loop.epoll);
}

void run_libcurl_poll(const Load& load, const Observe& observe) {
  Multi multi(load);
  multi.start(load);
  Observer observer(observe);
  int running = 0;
  while (observer.goes_on(multi.tally)) {
    curl_multi_perform(multi.handle(), &running);
    multi.renew();
    curl_multi_poll(multi.handle(), nullptr, 0, kObserveMs, nullptr);
  }
}

}  // namespace conntrace::bench
