// SPDX-License-Identifier: Apache-2.0
// Go's tests of limits, queueing and eviction, asked of this client (docs/go-behaviours.md, 22 to 38).
#include <gmock/gmock.h>

#include <atomic>
#include <filesystem>
#include <latch>
#include <thread>

#include "integration/go_fixture.h"
#include "support/deadline.h"
#include "support/sanitized.h"

namespace conntrace::test {
namespace {

using conntrace::testing::eventually;
using std::chrono::milliseconds;
using ::testing::Each;
using ::testing::ElementsAre;

class GoLimits : public GoTest {
 protected:
  std::vector<std::future<Result<Response>>> send_many(int count, const std::string& url) {
    std::vector<std::future<Result<Response>>> answers;
    for (int i = 0; i < count; ++i) answers.push_back(client_->send_async(Request{.url = url}));
    return answers;
  }
  static void expect_all(std::vector<std::future<Result<Response>>>& answers) {
    for (auto& answer : answers) {
      const auto response = answer.get();
      EXPECT_TRUE(response) << response.error().message();
    }
  }
};

/// A TLS server whose handshakes with connection `from` and later wait for open(): a dial that can be held.
class GatedTls {
 public:
  explicit GatedTls(int from) : from_(from) {}
  ~GatedTls() { open(); }
  GatedTls(const GatedTls&) = delete;
  GatedTls& operator=(const GatedTls&) = delete;
  void open() {
    if (!opened_.exchange(true)) gate_.count_down();
  }
  [[nodiscard]] std::string url() const { return "https://127.0.0.1:" + std::to_string(front_.port()) + "/"; }
  [[nodiscard]] TlsOptions trust() const { return {.ca_file = origin_.certificate_file()}; }

 private:
  const int from_;
  std::atomic<bool> opened_ = false;
  std::latch gate_{1};
  ScriptedServer origin_{answer_all, true};
  ScriptedServer front_{[this](Peer& peer, int connection) {
    if (connection >= from_) gate_.wait();
    peer.splice(origin_.port());
  }};
};

/// Answers each connection's first request only when released, one connection at a time.
struct OneByOne {
  std::array<std::latch, 3> release{std::latch(1), std::latch(1), std::latch(1)};
  ScriptedServer server{[this](Peer& peer, int connection) {
    if (!peer.read_head()) return;
    if (connection < 3) release[static_cast<std::size_t>(connection)].wait();
    peer.respond();
    answer_all(peer, 0);
  }};
};

TEST_F(GoLimits, TransportMaxPerHostIdleConns) {
  OneByOne held;
  use({.max_idle_conns_per_host = 2});
  auto answers = send_many(3, held.server.url());
  ASSERT_TRUE(hooks_.wait_for_count(EventKind::wrote_request, 3));
  EXPECT_EQ(idle(held.server), 0u);
  for (std::size_t i = 0; i < 3; ++i) {
    held.release[i].count_down();
    ASSERT_TRUE(hooks_.wait_for_count(EventKind::put_idle_conn, i + 1));
    EXPECT_EQ(idle(held.server), std::min<std::size_t>(i + 1, 2));
  }
  expect_all(answers);
  EXPECT_THAT(close_reasons(1), ElementsAre(CloseReason::max_idle_conns_per_host));
}

TEST_F(GoLimits, TransportPoolClosesConnsPastMaxIdleConnsPerHost) {
  OneByOne held;
  ScriptedServer other(answer_all);
  Client& client = use({.max_idle_conns_per_host = 1});
  ASSERT_TRUE(client.get(other.url()));
  auto answers = send_many(2, held.server.url());
  ASSERT_TRUE(hooks_.wait_for_count(EventKind::wrote_request, 3));
  for (std::latch& release : held.release) release.count_down();
  expect_all(answers);
  EXPECT_THAT(close_reasons(1), ElementsAre(CloseReason::max_idle_conns_per_host));
  ASSERT_TRUE(client.get(other.url()));
  ASSERT_TRUE(client.get(held.server.url()));
  EXPECT_EQ(other.connections(), 1);
  EXPECT_EQ(held.server.connections(), 2) << "the survivor is reused";
}

TEST_F(GoLimits, TransportMaxConnsPerHost) {
  ScriptedServer server(
      [](Peer& peer, int) {
        for (int n = 0; n < 10 && peer.read_head(); ++n) peer.respond("ok", n == 9 ? "Connection: close\r\n" : "");
      },
      true);
  Client& client = use({.max_conns_per_host = 1, .tls = {.ca_file = server.certificate_file()}});
  auto answers = send_many(10, server.url());
  expect_all(answers);
  EXPECT_EQ(server.connections(), 1);
  EXPECT_EQ(hooks_.count(EventKind::connect_start), 1u);
  EXPECT_EQ(hooks_.count(EventKind::tls_handshake_start), 1u);
  ASSERT_TRUE(client.get(server.url()));
  EXPECT_EQ(server.connections(), 2);
  EXPECT_EQ(hooks_.count(EventKind::tls_handshake_start), 2u);
}

TEST_F(GoLimits, TransportMaxConnsPerHostIncludeDialInProgress) {
  GatedTls server(0);
  use({.max_conns_per_host = 1, .tls = server.trust()});
  auto answers = send_many(2, server.url());
  ASSERT_TRUE(hooks_.wait_for_count(EventKind::queue_enter, 1));
  EXPECT_EQ(hooks_.all<EventKind::queue_enter>(2).at(0).limit, Limit::max_conns_per_host);
  EXPECT_EQ(transport_->pool_snapshot().dialling, 1u);
  EXPECT_EQ(hooks_.count(EventKind::why_new), 1u) << "the second must not dial";
  server.open();
  expect_all(answers);
  EXPECT_EQ(hooks_.count(EventKind::why_new), 1u);
}

TEST_F(GoLimits, TransportMaxConnsPerHostDialCancellation) {
  OneByOne held;
  Client& client = use({.max_conns_per_host = 1});
  auto first = client.send_async(Request{.url = held.server.url()});
  ASSERT_TRUE(hooks_.wait_for_count(EventKind::wrote_request, 1));
  std::stop_source stop;
  auto second = client.send_async(Request{.url = held.server.url(), .stop = stop.get_token()});
  ASSERT_TRUE(hooks_.wait_for_count(EventKind::queue_enter, 1));
  stop.request_stop();
  expect_error(second.get(), Errc::cancelled, Phase::blocked);
  for (std::latch& release : held.release) release.count_down();
  EXPECT_TRUE(first.get());
  EXPECT_TRUE(client.get(held.server.url())) << "the slot is not lost";
  EXPECT_EQ(transport_->pool_snapshot().waiting, 0u);
  EXPECT_EQ(held.server.connections(), 1);
}

TEST_F(GoLimits, TransportDecrementConnWhenIdleConnRemoved) {
  ScriptedServer server([](Peer& peer, int connection) {
    for (int n = 0; n <= connection % 2 && peer.read_head(); ++n) {
      peer.respond("ok", n == connection % 2 ? "Connection: close\r\n" : "");
    }
    peer.read_to_end();
  });
  use({.max_conns_per_host = 1});
  auto answers = send_many(300, server.url());
  expect_all(answers);
  EXPECT_EQ(server.connections(), 200) << "one request and two on every other connection, no slot lost or gained";
  EXPECT_EQ(transport_->pool_snapshot().closed_for(CloseReason::connection_close_response), 200u);
}

TEST_F(GoLimits, TransportIdleConnTimeout) {
  // However slow the machine is: one that was idle for less than the timeout is used again, and so a connection in use
  // outlives its timeout; one that was idle for longer is closed for it.
  constexpr milliseconds kTimeout = kSanitized ? milliseconds(1000) : milliseconds(200);
  ScriptedServer server(answer_all);
  Client& client = use({.idle_conn_timeout = kTimeout});
  const auto outlived = [&] {
    if (!client.get(server.url())) return false;
    const GotConnInfo got = hooks_.all<EventKind::got_conn>().back();
    EXPECT_LT(got.idle_ns.value_or(0), static_cast<std::uint64_t>(std::chrono::nanoseconds(kTimeout).count()));
    return mono_now().count() - static_cast<std::int64_t>(got.opened_mono_ns) >
           3 * std::chrono::nanoseconds(kTimeout).count();
  };
  EXPECT_TRUE(eventually(outlived));
  for (const auto& put : hooks_.all<EventKind::put_idle_conn>()) EXPECT_EQ(put.error, "");
  const auto before = static_cast<std::size_t>(server.connections());
  EXPECT_THAT(close_reasons(before), Each(CloseReason::idle_timeout));
  EXPECT_EQ(idle(server), 0u);
  ASSERT_TRUE(client.get(server.url()));
  EXPECT_EQ(static_cast<std::size_t>(server.connections()), before + 1);
}

TEST_F(GoLimits, TransportRemovesConnsAfterIdle) {
  ScriptedServer server(answer_all);
  Client& client = use({.max_conns_per_host = 1, .idle_conn_timeout = milliseconds(10)});
  ASSERT_TRUE(client.get(server.url()));
  EXPECT_EQ(close_reason(), CloseReason::idle_timeout);
  ASSERT_TRUE(client.get(server.url())) << "its slot is free";
  EXPECT_EQ(server.connections(), 2);
}

TEST_F(GoLimits, TransportSocketLateBinding) {
  // The first request's answer is held, the second's dial is; then the first's connection comes back.
  std::latch answer(1);
  ScriptedServer origin(
      [&](Peer& peer, int connection) {
        if (!peer.read_head()) return;
        if (connection == 0) answer.wait();
        peer.respond();
        answer_all(peer, 0);
      },
      true);
  std::latch handshake(1);
  ScriptedServer front([&](Peer& peer, int connection) {
    if (connection == 1) handshake.wait();
    peer.splice(origin.port());
  });
  const std::string url = "https://127.0.0.1:" + std::to_string(front.port()) + "/";
  Client& client = use({.tls = {.ca_file = origin.certificate_file()}});
  auto first = client.send_async(Request{.url = url});
  ASSERT_TRUE(hooks_.wait_for_count(EventKind::wrote_request, 1));
  auto second = client.send_async(Request{.url = url});
  ASSERT_TRUE(hooks_.wait_for_count(EventKind::tls_handshake_start, 2));
  answer.count_down();
  ASSERT_TRUE(first.get());
  ASSERT_TRUE(second.get());
  EXPECT_EQ(connections(), (std::vector<ConnectionId>{1, 1}));
  EXPECT_FALSE(hooks_.all<EventKind::got_conn>(2).at(0).was_idle) << "handed over";
  handshake.count_down();
  ASSERT_TRUE(hooks_.wait_for_count(EventKind::put_idle_conn, 3));
  ASSERT_TRUE(client.get(url));
  EXPECT_EQ(connections().back(), 2u) << "the most recently used: the second's dial";
  const GotConnInfo got = hooks_.all<EventKind::got_conn>(3).at(0);
  EXPECT_EQ(got.dialled_by, 2u);
  EXPECT_FALSE(got.reused) << "Go says reused of a connection that carried nothing";
  EXPECT_TRUE(got.was_idle);
}

TEST_F(GoLimits, TransportPoolCancelRequestReusesConn) {
  GatedTls server(0);
  Client& client = use({.tls = server.trust()});
  std::stop_source stop;
  auto cancelled = client.send_async(Request{.url = server.url(), .stop = stop.get_token()});
  ASSERT_TRUE(hooks_.wait_for_count(EventKind::tls_handshake_start, 1));
  stop.request_stop();
  EXPECT_FALSE(cancelled.get());
  server.open();
  ASSERT_TRUE(client.get(server.url()));
  EXPECT_EQ(hooks_.count(EventKind::got_conn), 1u);
  ASSERT_TRUE(client.get(server.url()));
  EXPECT_EQ(hooks_.all<EventKind::got_conn>(3).at(0).remote, hooks_.all<EventKind::got_conn>(2).at(0).remote);
}

TEST_F(GoLimits, TransportPoolCancelRequestWithDisableKeepAlives) {
  GatedTls server(0);
  Client& client = use({.disable_keep_alives = true, .tls = server.trust()});
  std::stop_source stop;
  auto cancelled = client.send_async(Request{.url = server.url(), .stop = stop.get_token()});
  ASSERT_TRUE(hooks_.wait_for_count(EventKind::tls_handshake_start, 1));
  stop.request_stop();
  EXPECT_FALSE(cancelled.get());
  server.open();
  EXPECT_EQ(close_reason(), CloseReason::keep_alives_disabled);
  EXPECT_EQ(transport_->pool_snapshot().open, 0u);
}

TEST_F(GoLimits, TransportPoolDisableKeepAlives) {
  ScriptedServer server(answer_all);
  Client& client = use({.disable_keep_alives = true});
  for (int i = 0; i < 2; ++i) ASSERT_TRUE(client.get(server.url()));
  EXPECT_EQ(connections(), (std::vector<ConnectionId>{1, 2}));
  EXPECT_EQ(idle(server), 0u);
}

TEST_F(GoLimits, TransportConcurrency) {
  ScriptedServer server([](Peer& peer, int) {
    while (const auto head = peer.read_head()) peer.respond(head->substr(4, head->find(" HTTP/") - 4));
  });
  Client& client = use();
  std::atomic<int> next = 0;
  std::atomic<int> good = 0;
  std::vector<std::jthread> workers;
  for (int i = 0; i < 32; ++i) {
    workers.emplace_back([&] {
      for (int n = next++; n < 500; n = next++) {
        const std::string path = "/" + std::to_string(n);
        const auto response = client.get(server.url(path));
        good += response && response->body == path ? 1 : 0;
      }
    });
  }
  workers.clear();
  EXPECT_EQ(good, 500);
}

std::size_t entries(const char* folder) {
  const std::filesystem::directory_iterator all(folder);
  return static_cast<std::size_t>(std::distance(begin(all), end(all)));
}

TEST_F(GoLimits, TransportPersistConnLeak) {
  ScriptedServer fine(answer_all);
  ScriptedServer cut([](Peer& peer, int) {
    if (peer.read_head()) peer.write("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nshort");
  });
  ScriptedServer hangs_up([](Peer& peer, int) { (void)peer.read_head(); });
  Client& client = use({.disable_keep_alives = true});
  ASSERT_TRUE(client.get(fine.url()));
  ASSERT_TRUE(hooks_.wait_for_count(EventKind::conn_closed, 1));
  const std::size_t threads = entries("/proc/self/task");
  const std::size_t descriptors = entries("/proc/self/fd");
  for (const auto* server : {&fine, &cut, &hangs_up}) {
    auto answers = send_many(25, server->url());
    for (auto& answer : answers) EXPECT_EQ(answer.get().has_value(), server == &fine);
  }
  EXPECT_EQ(transport_->pool_snapshot().open, 0u);
  // The servers are in this process, too, and end when their clients have.
  EXPECT_TRUE(eventually([&] { return entries("/proc/self/task") <= threads + 1; }));
  EXPECT_TRUE(eventually([&] { return entries("/proc/self/fd") <= descriptors + 1; }));
}

}  // namespace
}  // namespace conntrace::test
