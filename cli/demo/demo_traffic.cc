// SPDX-License-Identifier: Apache-2.0
#include "demo/demo_traffic.h"

#include <chrono>
#include <condition_variable>
#include <future>
#include <mutex>
#include <thread>

#include "conntrace/client.h"

namespace conntrace::cli {
namespace {

using std::chrono::milliseconds;

constexpr milliseconds kIdleConnTimeout{400};
constexpr milliseconds kPause{30};
constexpr std::chrono::seconds kPatience{30};

/// Counts what the demo waits for; nothing else paces it.
class Progress {
 public:
  ClientTrace trace() {
    ClientTrace trace;
    trace.conn_closed = [this](const HookContext&, const ConnClosedInfo& info) {
      if (info.reason == CloseReason::idle_timeout) count(idle_timeouts_);
      if (info.reason == CloseReason::server_closed_idle) count(server_closes_);
    };
    return trace;
  }
  [[nodiscard]] bool wait_idle_timeouts(int wanted) { return wait(idle_timeouts_, wanted); }
  [[nodiscard]] bool wait_server_close() { return wait(server_closes_, 1); }

 private:
  void count(int& counter) {
    {
      const std::lock_guard lock(mutex_);
      ++counter;
    }
    changed_.notify_all();
  }
  [[nodiscard]] bool wait(const int& counter, int wanted) {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, kPatience, [&] { return counter >= wanted; });
  }

  std::mutex mutex_;
  std::condition_variable changed_;
  int idle_timeouts_ = 0;
  int server_closes_ = 0;
};

Failure missed(const char* what) { return Failure(make_error(Errc::timeout, std::string("demo: ") + what)); }

}  // namespace

Result<Situations> make_demo_traffic(const DemoServers& servers, const ClientTrace& recorder) {
  Progress progress;
  TransportOptions options{.max_conns_per_host = 2, .idle_conn_timeout = kIdleConnTimeout};
  options.hosts[servers.impatient_host()].idle_conn_timeout = std::chrono::nanoseconds{};  // the server shall be first
  options.trace = std::make_shared<const ClientTrace>(compose(recorder, progress.trace()));
  Client client(std::make_shared<Transport>(options), {.timeout = kPatience});
  Situations shown = {{
      {"A fresh request", "the name, the connection and the response all take their time"},
      {"A reused connection", "no dns, no connect: how long it had been idle, and what it carried before"},
      {"Queued behind max_conns_per_host = 2", "who held the two connections, and whose release ended the wait"},
      {"After an idle eviction", "our idle_conn_timeout closed the old connection, so this one is new", 0, true},
      {"After the server closed an idle connection", "the FIN was seen when it came: no request ran into it", 0, true},
      {"Refused", "nobody listens there"},
      {"A name that does not resolve", "the wait is all dns"},
  }};

  std::optional<Error> failed;
  const auto get = [&](const std::string& url) -> RequestId {
    auto response = client.get(url);
    if (!response && !failed) failed = response.error();
    return response ? response->request : 0;
  };
  shown[0].request = get(servers.origin("/hello"));
  std::this_thread::sleep_for(kPause);  // so that there is an idle time to show
  shown[1].request = get(servers.origin("/hello"));

  // Two requests take both connections, the third has to wait for one of them. They are looked at in this order, and
  // all at once: what is sent on the transport's thread starts when this task has ended.
  std::future<Result<Response>> slow;
  std::future<Result<Response>> slower;
  std::future<Result<Response>> queued;
  std::promise<void> sent;
  client.transport().run_after({}, [&](bool) {
    slow = client.send_async({.url = servers.origin("/delay?ms=120")});
    slower = client.send_async({.url = servers.origin("/delay?ms=160")});
    queued = client.send_async({.url = servers.origin("/hello")});
    sent.set_value();
  });
  sent.get_future().wait();
  for (auto* pending : {&slow, &slower, &queued}) {
    auto response = pending->get();
    if (!response) return Failure(std::move(response).error());
    if (pending == &queued) shown[2].request = response->request;
  }

  if (!progress.wait_idle_timeouts(2)) return missed("idle connections were not evicted");
  shown[3].request = get(servers.origin("/hello"));

  get(servers.impatient("/hello"));
  if (!progress.wait_server_close()) return missed("the server did not close its idle connection");
  shown[4].request = get(servers.impatient("/hello"));
  if (failed) return Failure(*std::move(failed));

  // These two are meant to fail; their numbers follow.
  const auto expect_failure = [&](const std::string& url) -> RequestId {
    std::promise<void> done;
    const RequestId id = client.send({.url = url}, [&](const Result<Response>&) { done.set_value(); });
    done.get_future().wait();
    return id;
  };
  shown[5].request = expect_failure(servers.nobody());
  shown[6].request = expect_failure(servers.unknown_name());
  return shown;
}

}  // namespace conntrace::cli
