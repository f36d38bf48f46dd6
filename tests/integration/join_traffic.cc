// SPDX-License-Identifier: Apache-2.0
#include "join_traffic.h"

#include <gtest/gtest.h>

#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <stop_token>
#include <thread>

#include "tests/support/reserved_port.h"

namespace conntrace::test {
namespace {

using namespace std::chrono_literals;
using example::EndedBy;
using example::OriginConnection;
using example::OriginServer;

constexpr auto kPatience = 20s;

/// Polls a condition of another thread; fails the test when the patience ends.
void wait_until(const char* what, const std::function<bool()>& condition) {
  const auto end = std::chrono::steady_clock::now() + kPatience;
  while (!condition()) {
    ASSERT_LT(std::chrono::steady_clock::now(), end) << what;
    std::this_thread::sleep_for(2ms);
  }
}

class Traffic {
 public:
  explicit Traffic(const ClientTrace& trace) {
    origins_.push_back(*OriginServer::start({.workers = 8}));
    origins_.push_back(*OriginServer::start({.workers = 8, .idle_timeout = 150ms, .max_requests_per_conn = 8}));
    TransportOptions options;
    options.max_idle_conns = 5;
    options.max_idle_conns_per_host = 3;
    options.max_conns_per_host = 6;
    options.idle_conn_timeout = 500ms;
    options.trace = std::make_shared<const ClientTrace>(compose(trace, *witness_.trace()));
    transport_ = std::make_unique<Transport>(options);
  }

  Evidence run() {
    keep_alive();
    server_closes_idle();
    server_says_close();
    server_resets();
    client_evicts();
    client_gives_up();
    all_kinds_of_bodies();
    refused();
    close_idle();
    return finish();
  }

 private:
  void keep_alive() {
    for (int i = 0; i < 60; ++i) {
      send(0, "/hello");
      send(1, "/delay?ms=1");
    }
    answered();
    look();
  }

  void server_closes_idle() {
    wait_until("origin 1 closes what is idle", [this] { return open(1) == 0; });
    for (int i = 0; i < 12; ++i) {
      send(1, "/hello");
      if (i % 3 == 0) answered();
    }
    answered();
    look();
  }

  void server_says_close() {
    for (int i = 0; i < 16; ++i) send(0, i % 2 == 0 ? "/close" : "/hello");
    Request request;
    request.headers = {{"Connection", "close"}};
    for (int i = 0; i < 4; ++i) send(0, "/hello", request);
    answered();
    look();
  }

  /// On fresh connections and on reused ones, where it may be tried again.
  void server_resets() {
    for (int i = 0; i < 8; ++i) {
      send(0, "/hello");
      answered();
      send(0, "/reset");
      answered();
    }
    for (int i = 0; i < 4; ++i) send(1, "/reset");
    answered();
  }

  void client_evicts() {
    for (int i = 0; i < 6; ++i) send(0, "/delay?ms=5");
    answered();
    look();
    wait_until("idle_conn_timeout closes what is idle", [this] { return open(0) == 0; });
  }

  void client_gives_up() {
    Request hasty;
    hasty.timeout = 60ms;
    for (int i = 0; i < 5; ++i) send(0, "/delay?ms=400", hasty);
    answered();

    std::stop_source stop;
    Request cancelled;
    cancelled.stop = stop.get_token();
    const std::uint64_t before = served(1);
    for (int i = 0; i < 4; ++i) send(1, "/delay?ms=400", cancelled);
    wait_until("origin 1 has read what will be cancelled", [&] { return served(1) == before + 4; });
    stop.request_stop();
    answered();

    Request abandoned;
    abandoned.on_body = [](std::string_view) { return BodyAction::stop; };
    for (int i = 0; i < 4; ++i) send(0, "/bytes?n=3000000", abandoned);
    answered();
  }

  void all_kinds_of_bodies() {
    Request post;
    post.method = "POST";
    post.body = std::string(100'000, 'b');
    Request head;
    head.method = "HEAD";
    for (std::size_t origin = 0; origin < 2; ++origin) {
      for (int i = 0; i < 6; ++i) {
        send(origin, "/hello", post);
        send(origin, "/hello", head);
        send(origin, "/chunked");
        send(origin, "/bytes?n=200000");
        send(origin, "/nowhere");
      }
    }
    answered();
    look();
  }

  void refused() {
    const ReservedPort nobody;
    for (int i = 0; i < 3; ++i) send_to(nobody.url(), {});
    answered();
  }

  void close_idle() {
    for (int i = 0; i < 6; ++i) send(0, "/hello");
    answered();
    look();
    transport_->close_idle_connections();
    wait_until("close_idle_connections closes what is idle", [this] { return open(0) == 0; });
    for (int i = 0; i < 10; ++i) send(static_cast<std::size_t>(i) % 2, "/hello");
    answered();
    look();
  }

  void send(std::size_t origin, const std::string& target, Request request = {}) {
    send_to("http://127.0.0.1:" + std::to_string(origins_[origin]->port()) + target, std::move(request));
  }

  void send_to(std::string url, Request request) {
    request.url = std::move(url);
    const std::lock_guard lock(mutex_);  // the answer may come before send() returns the number
    ++sent_;
    auto slot = std::make_shared<RequestId>(0);
    *slot = transport_->send(std::move(request), [this, slot](Result<Response> answer) {
      const std::lock_guard inner(mutex_);
      EXPECT_TRUE(evidence_.answers.emplace(*slot, std::move(answer)).second) << "request " << *slot << " ended twice";
      all_answered_.notify_all();
    });
  }

  /// Waits for every answer.
  void answered() {
    std::unique_lock lock(mutex_);
    ASSERT_TRUE(all_answered_.wait_for(lock, kPatience, [this] { return evidence_.answers.size() == sent_; }))
        << evidence_.answers.size() << " of " << sent_ << " requests have ended";
  }

  /// Asks sock_diag about the connections that are open now.
  void look() {
    for (const auto& [ports, cookie] : sock_diag_cookies()) {
      if (ports.remote == origins_[0]->port() || ports.remote == origins_[1]->port()) evidence_.diag[ports] = cookie;
    }
  }

  std::uint64_t open(std::size_t origin) const {
    std::uint64_t open = 0;
    for (const OriginConnection& connection : origins_[origin]->connections()) {
      open += connection.ended_by == EndedBy::nobody_yet ? 1 : 0;
    }
    return open;
  }

  std::uint64_t served(std::size_t origin) const {
    std::uint64_t served = 0;
    for (const OriginConnection& connection : origins_[origin]->connections()) served += connection.requests;
    return served;
  }

  Evidence finish() {
    evidence_.last_snapshot = transport_->pool_snapshot();
    transport_.reset();
    for (std::size_t origin = 0; origin < origins_.size(); ++origin) {
      wait_until("the servers see the end of every connection", [&] { return open(origin) == 0; });
      for (const OriginConnection& connection : origins_[origin]->connections()) {
        const Ports ports{connection.peer_port, connection.local_port};
        EXPECT_TRUE(evidence_.accepted.emplace(ports, connection).second)
            << "port " << ports.local << " was used twice";
        evidence_.by_server_cookie.emplace(connection.cookie, connection);
      }
    }
    origins_.clear();
    evidence_.sockets = witness_.sockets();
    evidence_.closes = witness_.closes();
    return std::move(evidence_);
  }

  std::vector<std::unique_ptr<OriginServer>> origins_;
  SocketWitness witness_;
  std::mutex mutex_;
  std::condition_variable all_answered_;
  std::uint64_t sent_ = 0;
  Evidence evidence_;
  std::unique_ptr<Transport> transport_;  ///< last: its completions use the rest
};

}  // namespace

Evidence run_traffic(const ClientTrace& trace) { return Traffic(trace).run(); }

}  // namespace conntrace::test
