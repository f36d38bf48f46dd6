// SPDX-License-Identifier: Apache-2.0
// Why a connection was closed, by whom, and why the next one was dialled.
#include <future>
#include <latch>

#include "integration/transport_fixture.h"

namespace conntrace::test {
namespace {

using std::chrono::milliseconds;

class CloseReasons : public TransportTest {
 protected:
  [[nodiscard]] WhyNewInfo why_new(RequestId request) { return hooks_.all<EventKind::why_new>(request).at(0); }
};

TEST_F(CloseReasons, IdleTimeout) {
  std::promise<void> ended;
  ScriptedServer server([&](Peer& peer, int connection) {
    answer_all(peer, connection);
    if (connection == 0) ended.set_value();
  });
  Client& client = use({.idle_conn_timeout = milliseconds(40)});
  ASSERT_TRUE(client.get(server.url()));
  const ConnClosedInfo end = closed();
  EXPECT_EQ(end.reason, CloseReason::idle_timeout);
  EXPECT_EQ(end.by, ClosedBy::local);
  EXPECT_GE(end.idle_ns.value_or(0), 40'000'000u);
  EXPECT_EQ(end.requests, 1u);
  EXPECT_GT(end.bytes_sent, 0u);
  EXPECT_GT(end.bytes_received, 0u);
  ended.get_future().wait();  // the server saw our FIN
  ASSERT_TRUE(client.get(server.url()));
  EXPECT_EQ(why_new(2).reason, WhyNew::idle_expired);
}

TEST_F(CloseReasons, ServerClosesAnIdleConnection) {
  std::promise<void> close_now;
  ScriptedServer server([&](Peer& peer, int connection) {
    ASSERT_TRUE(peer.read_head());
    peer.respond();
    if (connection == 0) {
      close_now.get_future().wait();
      peer.close();
    }
    answer_all(peer, connection);
  });
  Client& client = use();
  ASSERT_TRUE(client.get(server.url()));
  EXPECT_EQ(transport_->pool_snapshot().idle, 1u);
  close_now.set_value();
  const ConnClosedInfo end = closed();  // without another request: the FIN is seen when it arrives
  EXPECT_EQ(end.reason, CloseReason::server_closed_idle);
  EXPECT_EQ(end.by, ClosedBy::peer);
  EXPECT_FALSE(end.inferred);
  EXPECT_EQ(transport_->pool_snapshot().idle, 0u);
  ASSERT_TRUE(client.get(server.url()));
  EXPECT_EQ(why_new(2).reason, WhyNew::idle_dead);
}

TEST_F(CloseReasons, ServerResetsAnIdleConnection) {
  ScriptedServer server([&](Peer& peer, int) {
    ASSERT_TRUE(peer.read_head());
    peer.respond();
    if (hooks_.wait_for_count(EventKind::request_done, 1)) peer.reset();
  });
  Client& client = use();
  ASSERT_TRUE(client.get(server.url()));
  const ConnClosedInfo end = closed();
  EXPECT_EQ(end.reason, CloseReason::server_reset_idle);
  EXPECT_EQ(end.by, ClosedBy::peer);
  EXPECT_EQ(end.error_number, ECONNRESET);
}

TEST_F(CloseReasons, ServerSays408WhileIdle) {
  ScriptedServer server([&](Peer& peer, int) {
    ASSERT_TRUE(peer.read_head());
    peer.respond();
    if (hooks_.wait_for_count(EventKind::request_done, 1)) peer.write("HTTP/1.1 408 Request Timeout\r\n\r\n");
    peer.read_to_end();
  });
  Client& client = use();
  ASSERT_TRUE(client.get(server.url()));
  EXPECT_EQ(close_reason(), CloseReason::server_closed_idle);
}

TEST_F(CloseReasons, BytesThatNobodyAskedFor) {
  ScriptedServer server([&](Peer& peer, int) {
    ASSERT_TRUE(peer.read_head());
    peer.respond();
    if (hooks_.wait_for_count(EventKind::request_done, 1)) peer.write("surprise");
    peer.read_to_end();
  });
  Client& client = use();
  ASSERT_TRUE(client.get(server.url()));
  EXPECT_EQ(close_reason(), CloseReason::protocol_error);
}

TEST_F(CloseReasons, ResponseSaysClose) {
  ScriptedServer server([](Peer& peer, int) {
    ASSERT_TRUE(peer.read_head());
    peer.respond("ok", "Connection: close\r\n");
    peer.read_to_end();
  });
  Client& client = use();
  ASSERT_TRUE(client.get(server.url()));
  const ConnClosedInfo end = closed();
  EXPECT_EQ(end.reason, CloseReason::connection_close_response);
  EXPECT_EQ(end.by, ClosedBy::local) << "the server waits for our FIN";
  EXPECT_EQ(hooks_.count(EventKind::put_idle_conn), 0u) << "reuse was never attempted";
}

TEST_F(CloseReasons, BodyThatEndsWithTheConnection) {
  ScriptedServer server([](Peer& peer, int) {
    ASSERT_TRUE(peer.read_head());
    peer.write("HTTP/1.1 200 OK\r\n\r\nuntil the end");
  });
  Client& client = use();
  const auto response = client.get(server.url());
  ASSERT_TRUE(response);
  EXPECT_EQ(response->body, "until the end");
  const ConnClosedInfo end = closed();
  EXPECT_EQ(end.reason, CloseReason::connection_close_response);
  EXPECT_EQ(end.by, ClosedBy::peer);
}

TEST_F(CloseReasons, OldServer) {
  ScriptedServer server([](Peer& peer, int) {
    ASSERT_TRUE(peer.read_head());
    peer.write("HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok");
    peer.read_to_end();
  });
  Client& client = use();
  ASSERT_TRUE(client.get(server.url()));
  EXPECT_EQ(close_reason(), CloseReason::connection_close_response);
}

TEST_F(CloseReasons, RequestSaysClose) {
  ScriptedServer server(answer_all);
  Client& client = use();
  ASSERT_TRUE(client.send(Request{.url = server.url(), .headers = {{"Connection", "close"}}}));
  EXPECT_EQ(close_reason(), CloseReason::connection_close_request);
}

TEST_F(CloseReasons, KeepAlivesDisabled) {
  std::string head;
  ScriptedServer server([&](Peer& peer, int) {
    head = peer.read_head().value_or("");
    peer.respond();
    peer.read_to_end();
  });
  Client& client = use({.disable_keep_alives = true});
  ASSERT_TRUE(client.get(server.url()));
  EXPECT_EQ(close_reason(), CloseReason::connection_close_request);
  EXPECT_NE(head.find("Connection: close\r\n"), std::string::npos);
  EXPECT_EQ(why_new(1).reason, WhyNew::keep_alives_disabled);
}

TEST_F(CloseReasons, MoreIdleThanTheHostMayHave) {
  std::latch both(2);
  ScriptedServer server([&](Peer& peer, int) {
    ASSERT_TRUE(peer.read_head());
    both.arrive_and_wait();
    peer.respond();
    answer_all(peer, 0);
  });
  Client& client = use({.max_idle_conns_per_host = 1});
  auto first = client.send_async(Request{.url = server.url()});
  auto second = client.send_async(Request{.url = server.url()});
  ASSERT_TRUE(first.get());
  ASSERT_TRUE(second.get());
  EXPECT_EQ(close_reason(), CloseReason::max_idle_conns_per_host);
  EXPECT_EQ(transport_->pool_snapshot().idle, 1u);
  std::size_t refused = 0;
  for (const auto& put : hooks_.all<EventKind::put_idle_conn>())
    refused += put.error == "max_idle_conns_per_host" ? 1 : 0;
  EXPECT_EQ(refused, 1u);
}

TEST_F(CloseReasons, MoreIdleThanAllMayHave) {
  ScriptedServer one(answer_all);
  ScriptedServer two(answer_all);
  Client& client = use({.max_idle_conns = 1});
  ASSERT_TRUE(client.get(one.url()));
  ASSERT_TRUE(client.get(two.url()));
  EXPECT_EQ(close_reason(), CloseReason::max_idle_conns);
  ASSERT_TRUE(client.get(one.url()));
  EXPECT_EQ(why_new(3).reason, WhyNew::idle_evicted);
}

TEST_F(CloseReasons, CloseIdleConnections) {
  ScriptedServer server(answer_all);
  Client& client = use();
  ASSERT_TRUE(client.get(server.url()));
  transport_->close_idle_connections();
  EXPECT_EQ(close_reason(), CloseReason::close_idle_connections);
  EXPECT_EQ(transport_->pool_snapshot().open, 0u);
}

TEST_F(CloseReasons, CloseIdleConnectionsEndsADialThatNobodyWaitsFor) {
  ScriptedServer server([](Peer& peer, int) { peer.read_to_end(); });  // never a word of TLS
  Client& client = use();
  std::stop_source stop;
  auto result =
      client.send_async({.url = "https://127.0.0.1:" + std::to_string(server.port()) + "/", .stop = stop.get_token()});
  ASSERT_TRUE(hooks_.wait_for_count(EventKind::tls_handshake_start, 1));
  stop.request_stop();
  EXPECT_FALSE(result.get());
  EXPECT_EQ(transport_->pool_snapshot().dialling, 1u) << "the dial goes on for whoever comes next";
  transport_->close_idle_connections();
  ASSERT_TRUE(hooks_.wait_for_count(EventKind::dial_done, 1));
  EXPECT_EQ(hooks_.all<EventKind::dial_done>().at(0).phase, Phase::tls);
  EXPECT_EQ(transport_->pool_snapshot().open, 0u);
}

TEST_F(CloseReasons, ApplicationAbandonsTheBody) {
  ScriptedServer server([](Peer& peer, int) {
    ASSERT_TRUE(peer.read_head());
    peer.respond(std::string(1 << 20, 'x'));
    peer.read_to_end();
  });
  Client& client = use();
  const auto result =
      client.send(Request{.url = server.url(), .on_body = [](std::string_view) { return BodyAction::stop; }});
  EXPECT_TRUE(result);
  EXPECT_EQ(close_reason(), CloseReason::body_abandoned);
  EXPECT_EQ(hooks_.all<EventKind::body_closed>().at(0).outcome, BodyOutcome::abandoned);
}

TEST_F(CloseReasons, ServerResetsDuringTheExchange) {
  ScriptedServer server([](Peer& peer, int) {
    ASSERT_TRUE(peer.read_head());
    peer.write("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf");
    peer.reset();
  });
  Client& client = use();
  const auto result = client.get(server.url());
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().phase, Phase::receive);
  const ConnClosedInfo end = closed();
  EXPECT_EQ(end.reason, CloseReason::read_error);
  EXPECT_EQ(end.by, ClosedBy::peer);
}

TEST_F(CloseReasons, ShutdownOfTheTransport) {
  ScriptedServer server(answer_all);
  Client& client = use();
  ASSERT_TRUE(client.get(server.url()));
  client_.reset();
  transport_.reset();
  const ConnClosedInfo end = closed();
  EXPECT_EQ(end.reason, CloseReason::transport_shutdown);
  EXPECT_EQ(end.by, ClosedBy::local);
}

}  // namespace
}  // namespace conntrace::test
