// SPDX-License-Identifier: Apache-2.0
// The pool's limits over real sockets: which error, which reason, which hooks.
#include <atomic>
#include <latch>
#include <map>

#include "integration/transport_fixture.h"
#include "support/deaf_listener.h"

namespace conntrace::test {
namespace {

using std::chrono::milliseconds;

class PoolLimits : public TransportTest {
 protected:
  static std::string host_port(const ScriptedServer& server) { return "127.0.0.1:" + std::to_string(server.port()); }
  /// Connection number of each request in turn.
  [[nodiscard]] std::vector<ConnectionId> connections() const {
    std::vector<ConnectionId> numbers;
    for (const Event& event : hooks_.events()) {
      if (event.kind() == EventKind::got_conn) numbers.push_back(event.header.connection);
    }
    return numbers;
  }
  void expect_error(const Result<Response>& result, Errc code) {
    ASSERT_FALSE(result);
    EXPECT_EQ(result.error().code, make_error_code(code)) << result.error().message();
    EXPECT_EQ(result.error().phase, Phase::blocked) << to_string(result.error().phase);
  }
};

/// Answers what comes after go_on.
struct Holding {
  std::atomic<int> arrivals = 0;
  std::latch go_on{1};
  ScriptedServer server{[this](Peer& peer, int) {
    if (!peer.read_head()) return;
    ++arrivals;
    arrivals.notify_all();
    go_on.wait();
    peer.respond();
    answer_all(peer, 0);
  }};
};

TEST_F(PoolLimits, MaxTotalConnsClosesAnIdleConnectionOfAnotherHost) {
  ScriptedServer a(answer_all);
  ScriptedServer b(answer_all);
  Client& client = use({.max_total_conns = 1});
  ASSERT_TRUE(client.get(a.url()));
  ASSERT_TRUE(client.get(b.url()));
  EXPECT_EQ(close_reason(), CloseReason::max_total_conns);
  EXPECT_EQ(hooks_.count(EventKind::queue_enter), 0u);
  ASSERT_TRUE(client.get(a.url()));
  EXPECT_EQ(hooks_.all<EventKind::why_new>(3).at(0).reason, WhyNew::idle_evicted);
}

TEST_F(PoolLimits, BeyondMaxTotalConnsRequestsQueue) {
  Holding held;
  ScriptedServer other(answer_all);
  Client& client = use({.max_total_conns = 1});
  auto first = client.send_async(Request{.url = held.server.url()});
  held.arrivals.wait(0);
  auto second = client.send_async(Request{.url = other.url()});
  ASSERT_TRUE(hooks_.wait_for_count(EventKind::queue_enter, 1));
  held.go_on.count_down();
  ASSERT_TRUE(first.get());
  ASSERT_TRUE(second.get());
  EXPECT_EQ(hooks_.all<EventKind::queue_enter>(2).at(0).limit, Limit::max_total_conns);
  const auto leave = hooks_.all<EventKind::queue_leave>(2).at(0);
  EXPECT_EQ(leave.outcome, QueueOutcome::slot_freed);
  EXPECT_EQ(leave.released_by, 1u);
  ASSERT_EQ(leave.holders.size(), 1u);
  EXPECT_EQ(leave.holders[0].request, 1u);
  EXPECT_EQ(hooks_.all<EventKind::put_idle_conn>(1).at(0).error, "max_total_conns");
}

TEST_F(PoolLimits, MaxConcurrentDialsMakesRequestsWaitForADial) {
  std::latch go_on(1);
  ScriptedServer silent([&](Peer& peer, int) {
    (void)peer.read_bytes(1);  // of a TLS handshake that it does not answer
    go_on.wait();
  });
  ScriptedServer other(answer_all);
  Client& client = use({.max_concurrent_dials = 1});
  std::string https = silent.url();
  https.replace(0, 4, "https");
  auto first = client.send_async(Request{.url = https});
  ASSERT_TRUE(hooks_.wait_for_count(EventKind::tls_handshake_start, 1));
  auto second = client.send_async(Request{.url = other.url()});
  ASSERT_TRUE(hooks_.wait_for_count(EventKind::queue_enter, 1));
  go_on.count_down();
  EXPECT_FALSE(first.get());
  ASSERT_TRUE(second.get());
  const auto enter = hooks_.all<EventKind::queue_enter>(2).at(0);
  EXPECT_EQ(enter.limit, Limit::max_concurrent_dials);
  ASSERT_EQ(enter.holders.size(), 1u);
  EXPECT_EQ(enter.holders[0].request, 1u);
  EXPECT_EQ(enter.holders[0].doing, Phase::tls);
}

TEST_F(PoolLimits, BeyondMaxQueueARequestFailsAtOnce) {
  Holding held;
  Client& client = use({.max_conns_per_host = 1, .max_queue = 1});
  auto first = client.send_async(Request{.url = held.server.url()});
  held.arrivals.wait(0);
  auto second = client.send_async(Request{.url = held.server.url()});
  ASSERT_TRUE(hooks_.wait_for_count(EventKind::queue_enter, 1));
  expect_error(client.get(held.server.url()), Errc::queue_full);
  EXPECT_EQ(hooks_.sequence(3), "request_start get_conn get_conn_failed request_done");
  EXPECT_EQ(transport_->pool_snapshot().refused, 1u);
  held.go_on.count_down();
  EXPECT_TRUE(first.get());
  EXPECT_TRUE(second.get());
}

TEST_F(PoolLimits, AcquireTimeoutEndsTheWaitInTheQueue) {
  Holding held;
  const ScriptedServer other(answer_all);
  // Of the other's requests alone: it covers dials too, and the one that holds the connection may be slow to get it.
  TransportOptions options{.max_total_conns = 1};
  options.hosts[host_port(other)] = {.acquire_timeout = milliseconds(30)};
  Client& client = use(options);
  auto first = client.send_async(Request{.url = held.server.url()});
  held.arrivals.wait(0);
  expect_error(client.get(other.url()), Errc::acquire_timeout);
  EXPECT_EQ(hooks_.sequence(2), "request_start get_conn queue_enter queue_leave get_conn_failed request_done");
  const auto leave = hooks_.all<EventKind::queue_leave>(2).at(0);
  EXPECT_EQ(leave.outcome, QueueOutcome::timeout);
  EXPECT_GE(leave.waited_ns, 30'000'000u);
  held.go_on.count_down();
  EXPECT_TRUE(first.get());
}

TEST_F(PoolLimits, AcquireTimeoutCoversTheDialAndNamesItsPhase) {
  const DeafListener deaf;
  ASSERT_TRUE(deaf.works());
  Client& client = use({.acquire_timeout = milliseconds(30)});
  const auto result = client.get("http://127.0.0.1:" + std::to_string(deaf.port()) + "/");
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code, make_error_code(Errc::acquire_timeout));
  EXPECT_EQ(result.error().phase, Phase::connect);
}

TEST_F(PoolLimits, HostsMayHaveTheirOwn) {
  Holding held;
  ScriptedServer other(answer_all);
  TransportOptions options{.max_idle_conns_per_host = -1};
  options.hosts[host_port(held.server)] = {.max_conns_per_host = 1, .acquire_timeout = std::chrono::seconds(2)};
  options.hosts[host_port(other)] = {.max_idle_conns_per_host = 1, .max_requests_per_conn = 2};
  Client& client = use(options);
  auto first = client.send_async(Request{.url = held.server.url()});
  held.arrivals.wait(0);
  expect_error(client.get(held.server.url()), Errc::acquire_timeout);
  for (int i = 0; i < 4; ++i) ASSERT_TRUE(client.get(other.url()));
  EXPECT_EQ(other.connections(), 2);
  held.go_on.count_down();
  ASSERT_TRUE(first.get()) << "it got its connection in time: how long the exchange takes does not matter";
  EXPECT_TRUE(hooks_.wait_for_count(EventKind::conn_closed, 3));
  EXPECT_EQ(hooks_.all<EventKind::conn_closed>().back().reason, CloseReason::keep_alives_disabled);
}

TEST_F(PoolLimits, MaxRequestsPerConn) {
  ScriptedServer server(answer_all);
  Client& client = use({.max_requests_per_conn = 2});
  for (int i = 0; i < 4; ++i) ASSERT_TRUE(client.get(server.url()));
  EXPECT_EQ(connections(), (std::vector<ConnectionId>{1, 1, 2, 2}));
  EXPECT_EQ(close_reason(), CloseReason::max_requests);
  EXPECT_EQ(closed().requests, 2u);
  EXPECT_EQ(hooks_.all<EventKind::put_idle_conn>(2).at(0).error, "max_requests");
  const auto why = hooks_.all<EventKind::why_new>(3).at(0);
  EXPECT_EQ(why.reason, WhyNew::max_requests);
  ASSERT_EQ(why.candidates.size(), 1u);
  EXPECT_EQ(why.candidates[0].connection, 1u);
}

TEST_F(PoolLimits, MaxConnLifetimeEndsIdleConnections) {
  ScriptedServer server(answer_all);
  Client& client = use({.max_conn_lifetime = milliseconds(40), .max_conn_lifetime_jitter = 0.5});
  // Idle from the end of its dial on: an exchange might outlast the lifetime.
  std::stop_source stop;
  auto trace = std::make_shared<ClientTrace>();
  trace->why_new = [&](const HookContext&, const WhyNewInfo&) { stop.request_stop(); };
  ASSERT_FALSE(client.send(Request{.url = server.url(), .stop = stop.get_token(), .trace = trace}));
  const ConnClosedInfo ended = closed();
  EXPECT_EQ(ended.reason, CloseReason::max_lifetime);
  EXPECT_GE(ended.age_ns, 20'000'000u);
  EXPECT_TRUE(ended.idle_ns);
}

TEST_F(PoolLimits, TheServersKeepAliveIsHonoured) {
  ScriptedServer server([](Peer& peer, int connection) {
    for (int left = 1; peer.read_head(); --left) {
      peer.respond("ok", connection == 0 ? "Keep-Alive: timeout=60, max=" + std::to_string(left) + "\r\n"
                                         : std::string("Keep-Alive: timeout=0\r\n"));
    }
  });
  Client& client = use();
  for (int i = 0; i < 3; ++i) ASSERT_TRUE(client.get(server.url()));
  EXPECT_EQ(connections(), (std::vector<ConnectionId>{1, 1, 2}));
  EXPECT_TRUE(hooks_.wait_for_count(EventKind::conn_closed, 2));
  const auto closes = hooks_.all<EventKind::conn_closed>();
  EXPECT_EQ(closes.at(0).reason, CloseReason::max_requests);
  EXPECT_EQ(closes.at(1).reason, CloseReason::keep_alive_timeout);
}

TEST_F(PoolLimits, AnIdleConnectionEndsBeforeTheServersTimeout) {
  ScriptedServer server([](Peer& peer, int) {
    while (peer.read_head()) peer.respond("ok", "Keep-Alive: timeout=1\r\n");
  });
  Client& client = use();
  ASSERT_TRUE(client.get(server.url()));
  const ConnClosedInfo ended = closed();
  EXPECT_EQ(ended.reason, CloseReason::keep_alive_timeout);
  EXPECT_EQ(ended.by, ClosedBy::local);
  EXPECT_GE(ended.idle_ns.value_or(0), 750'000'000u);
}

TEST_F(PoolLimits, LeastRecentlyUsedOrderUsesAllInTurn) {
  Holding held;
  Client& client = use({.idle_order = IdleOrder::least_recently_used});
  auto first = client.send_async(Request{.url = held.server.url()});
  auto second = client.send_async(Request{.url = held.server.url()});
  ASSERT_TRUE(hooks_.wait_for_count(EventKind::wrote_request, 2));
  held.go_on.count_down();
  ASSERT_TRUE(first.get());
  ASSERT_TRUE(second.get());
  for (int i = 0; i < 4; ++i) ASSERT_TRUE(client.get(held.server.url()));
  const std::vector<ConnectionId> used = connections();
  ASSERT_EQ(used.size(), 6u);
  EXPECT_NE(used[2], used[3]);
  EXPECT_EQ(used[2], used[4]);
  EXPECT_EQ(used[3], used[5]);
}

TEST_F(PoolLimits, SnapshotsBalanceInAllAndByHost) {
  Holding held;
  ScriptedServer other(answer_all);
  Client& client = use({.max_conns_per_host = 1});
  ASSERT_TRUE(client.get(other.url()));
  auto first = client.send_async(Request{.url = held.server.url()});
  held.arrivals.wait(0);
  auto second = client.send_async(Request{.url = held.server.url()});
  ASSERT_TRUE(hooks_.wait_for_count(EventKind::queue_enter, 1));
  std::map<std::string, HostSnapshot> hosts;
  for (HostSnapshot& host : transport_->host_snapshots()) hosts[host.host_port] = host;
  EXPECT_EQ(hosts.size(), 2u);
  EXPECT_EQ(hosts[host_port(other)].idle, 1u);
  EXPECT_EQ(hosts[host_port(held.server)].active, 1u);
  EXPECT_EQ(hosts[host_port(held.server)].waiting, 1u);
  EXPECT_EQ(hosts[host_port(held.server)].scheme, "http");
  held.go_on.count_down();
  ASSERT_TRUE(first.get());
  ASSERT_TRUE(second.get());
  transport_->close_idle_connections();
  const PoolSnapshot pool = transport_->pool_snapshot();
  EXPECT_EQ(pool.open, 0u);
  EXPECT_EQ(pool.closed_for(CloseReason::close_idle_connections), 2u);
  EXPECT_EQ(pool.closed, 2u);
  EXPECT_EQ(pool.queue_enters, 1u);
  EXPECT_EQ(pool.queue_leaves, 1u);
  transport_->publish_snapshot({}, false);
  ASSERT_TRUE(hooks_.wait_for_count(EventKind::pool_snapshot, 1));
  const auto told = hooks_.all<EventKind::pool_snapshot>().at(0);
  EXPECT_EQ(told.queue_leaves, 1u);
  ASSERT_EQ(told.closed_by.size(), 1u);
  EXPECT_EQ(told.closed_by[0].reason, CloseReason::close_idle_connections);
  EXPECT_EQ(told.closed_by[0].count, 2u);
}

}  // namespace
}  // namespace conntrace::test
