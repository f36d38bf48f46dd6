// SPDX-License-Identifier: Apache-2.0
#include "conntrace/transport.h"

#include <pthread.h>
#include <signal.h>

#include <future>
#include <thread>

#include "transport/engine.h"
#include "transport/event_loop.h"
#include "transport/socket_facts.h"

namespace conntrace {

class Transport::Impl {
 public:
  explicit Impl(TransportOptions options) : engine_(std::move(options), loop_), thread_([this] { run(); }) {}

  ~Impl() {
    loop_.post([this] {
      engine_.shut_down();
      loop_.stop();
    });
    thread_.join();
  }

  RequestId reserve_id() { return next_request_.fetch_add(1, std::memory_order_relaxed); }

  RequestId send(Request&& request, Completion&& done, RequestId id) {
    if (id == 0) id = reserve_id();
    auto state = std::make_unique<transport::RequestState>(id, std::move(request), std::move(done));
    if (state->request.stop.stop_possible()) {
      state->on_stop.emplace(state->request.stop, [this, id] { cancel(id); });
    }
    engine_.submit(std::move(state));
    return id;
  }

  void cancel(RequestId request) {
    loop_.post([this, request] { engine_.cancel(request); });
  }

  void resume(RequestId request) {
    loop_.post([this, request] { engine_.resume(request); });
  }

  void abandon_body(RequestId request) {
    loop_.post([this, request] { engine_.abandon_body(request); });
  }

  void tell_redirect(RequestId request, const RedirectInfo& info) { engine_.tell_redirect(request, info); }

  std::uint64_t run_after(std::chrono::nanoseconds delay, std::function<void(bool)> task) {
    const MonoTime at = mono_now() + delay;
    const std::uint64_t number = next_delayed_.fetch_add(1, std::memory_order_relaxed);
    loop_.post([this, number, at, task = std::move(task)]() mutable { engine_.run_at(number, at, std::move(task)); });
    return number;
  }

  void cancel_delayed(std::uint64_t number) {
    loop_.post([this, number] { engine_.cancel_delayed(number); });
  }

  void close_idle_connections() {
    loop_.post([this] { engine_.close_idle_connections(); });
  }

  /// What `ask` says on the loop's thread.
  template <class Ask>
  auto answer(Ask ask) {
    if (loop_.on_loop_thread()) return ask();
    std::promise<decltype(ask())> answer;
    auto future = answer.get_future();
    loop_.post([&] { answer.set_value(ask()); });
    return future.get();
  }
  PoolSnapshot pool_snapshot() {
    return answer([this] { return engine_.snapshot(); });
  }
  std::vector<HostSnapshot> host_snapshots() {
    return answer([this] { return engine_.host_snapshots(); });
  }

  void publish_snapshot(std::shared_ptr<const ClientTrace> trace, bool live, std::function<void()> then) {
    loop_.post([this, trace = std::move(trace), live, then = std::move(then)] {
      engine_.publish(trace.get(), live);
      if (then) then();
    });
  }

  [[nodiscard]] const TransportOptions& options() const noexcept { return engine_.options; }
  [[nodiscard]] std::uint64_t hook_exceptions() const noexcept { return engine_.hook_exceptions(); }

 private:
  void run() {
    pthread_setname_np(pthread_self(), "conntrace-loop");
    // OpenSSL writes without MSG_NOSIGNAL.
    sigset_t pipe;
    sigemptyset(&pipe);
    sigaddset(&pipe, SIGPIPE);
    pthread_sigmask(SIG_BLOCK, &pipe, nullptr);
    engine_.netns = transport::current_netns();
    engine_.netns_cookie = transport::current_netns_cookie();
    loop_.run([this](MonoTime turn_start) { engine_.turn_start = turn_start; }, [this] { engine_.end_of_turn(); });
  }

  transport::EventLoop loop_;
  transport::Engine engine_;
  std::atomic<RequestId> next_request_ = 1;
  std::atomic<std::uint64_t> next_delayed_ = 1;
  std::thread thread_;
};

Transport::Transport(TransportOptions options) : impl_(std::make_unique<Impl>(std::move(options))) {}
Transport::~Transport() = default;
RequestId Transport::send(Request request, Completion done, RequestId id) {
  return impl_->send(std::move(request), std::move(done), id);
}
RequestId Transport::reserve_id() { return impl_->reserve_id(); }
void Transport::resume(RequestId request) { impl_->resume(request); }
void Transport::abandon_body(RequestId request) { impl_->abandon_body(request); }
void Transport::tell_redirect(RequestId request, const RedirectInfo& info) { impl_->tell_redirect(request, info); }
std::uint64_t Transport::run_after(std::chrono::nanoseconds delay, std::function<void(bool)> task) {
  return impl_->run_after(delay, std::move(task));
}
void Transport::cancel_delayed(std::uint64_t number) { impl_->cancel_delayed(number); }
void Transport::cancel(RequestId request) { impl_->cancel(request); }
void Transport::close_idle_connections() { impl_->close_idle_connections(); }
PoolSnapshot Transport::pool_snapshot() { return impl_->pool_snapshot(); }
std::vector<HostSnapshot> Transport::host_snapshots() { return impl_->host_snapshots(); }
void Transport::publish_snapshot(std::shared_ptr<const ClientTrace> trace, bool live, std::function<void()> then) {
  impl_->publish_snapshot(std::move(trace), live, std::move(then));
}
const TransportOptions& Transport::options() const noexcept { return impl_->options(); }
std::uint64_t Transport::hook_exceptions() const noexcept { return impl_->hook_exceptions(); }

}  // namespace conntrace
