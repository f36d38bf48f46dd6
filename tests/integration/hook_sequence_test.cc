// SPDX-License-Identifier: Apache-2.0
// Exact sequences of hooks, as section 1.2 of the notes on Go's httptrace has them, with ours in their places.
#include <sys/socket.h>

#include <atomic>
#include <latch>
#include <memory>

#include "integration/transport_fixture.h"

namespace conntrace::test {
namespace {

const std::string kStart = "request_start get_conn ";
const std::string kDial = "why_new connect_start connect_done dial_done ";
const std::string kKept = "put_idle_conn body_closed request_done";

class HookSequence : public TransportTest {};

TEST_F(HookSequence, FreshRequestThenAReusedOne) {
  ScriptedServer server(answer_all);
  Client& client = use();
  ASSERT_TRUE(client.get(server.url()));
  ASSERT_TRUE(client.get(server.url()));
  EXPECT_EQ(hooks_.sequence(1), kStart + kDial + kExchange + kKept);
  EXPECT_EQ(hooks_.sequence(2), kStart + kExchange + kKept);

  const auto got = hooks_.all<EventKind::got_conn>();
  EXPECT_FALSE(got[0].reused);
  EXPECT_FALSE(got[0].was_idle);
  EXPECT_FALSE(got[0].idle_ns);
  EXPECT_TRUE(got[1].reused);
  EXPECT_TRUE(got[1].was_idle);
  EXPECT_GT(got[1].idle_ns.value_or(0), 0u);
  EXPECT_EQ(got[1].requests_before, 1u);
  EXPECT_EQ(got[1].dialled_by, 1u);
  EXPECT_EQ(got[0].local, got[1].local);
  EXPECT_EQ(got[1].remote, "127.0.0.1:" + std::to_string(server.port()));
  EXPECT_EQ(server.connections(), 1);
}

TEST_F(HookSequence, TraceThatNobodyListensToIsNotCalled) {
  ScriptedServer server(answer_all);
  Client& client = use();
  const auto listening = std::make_shared<std::atomic<bool>>(false);
  std::atomic<int> calls = 0;
  auto trace = std::make_shared<ClientTrace>();
  trace->request_start = [&](const HookContext&, const RequestStartInfo&) { ++calls; };
  trace->request_done = [&](const HookContext&, const RequestDoneInfo&) { ++calls; };
  trace->listening = listening;
  ASSERT_TRUE(client.send(Request{.url = server.url(), .trace = trace}));
  EXPECT_EQ(calls, 0);
  *listening = true;
  ASSERT_TRUE(client.send(Request{.url = server.url(), .trace = trace}));
  EXPECT_EQ(calls, 2);
  EXPECT_EQ(hooks_.all<EventKind::request_done>().size(), 2u) << "the transport's own trace hears both";
}

TEST_F(HookSequence, NameIsResolvedBeforeTheDial) {
  ScriptedServer server(answer_all);
  Client& client = use();
  ASSERT_TRUE(client.get("http://localhost:" + std::to_string(server.port()) + "/"));
  EXPECT_TRUE(hooks_.sequence(1).starts_with(kStart + "why_new dns_start dns_done connect_start connect_done "));
  const auto dns = hooks_.all<EventKind::dns_done>().at(0);
  EXPECT_EQ(dns.host, "localhost");
  EXPECT_FALSE(dns.addresses.empty());
  EXPECT_NE(dns.resolver_tid, 0u);
  EXPECT_LE(dns.resolver_start_ns, dns.resolver_end_ns);
}

TEST_F(HookSequence, SocketsOfEventsAreTheKernelsOwn) {
  ScriptedServer server(answer_all);
  Client& client = use();
  ASSERT_TRUE(client.get(server.url()));
  const int fd = hooks_.all<EventKind::got_conn>().at(0).fd;
  std::uint64_t cookie = 0;
  socklen_t size = sizeof cookie;
  ASSERT_EQ(getsockopt(fd, SOL_SOCKET, SO_COOKIE, &cookie, &size), 0);
  for (const Event& event : hooks_.events()) {
    if (event.kind() == EventKind::connect_start || event.kind() == EventKind::got_conn) {
      EXPECT_EQ(event.header.cookie, cookie);
      EXPECT_NE(event.header.netns, 0u);
    }
  }
}

TEST_F(HookSequence, ResponsesWithoutABody) {
  ScriptedServer server([](Peer& peer, int) {
    while (const auto head = peer.read_head()) {
      if (head->starts_with("HEAD")) {
        peer.write("HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n");
      } else {
        peer.write("HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n");
      }
    }
  });
  Client& client = use();
  ASSERT_TRUE(client.send(Request{.method = "HEAD", .url = server.url()}));
  const auto none = client.get(server.url());
  ASSERT_TRUE(none);
  EXPECT_EQ(none->status, 204);
  EXPECT_EQ(hooks_.sequence(2), kStart + kExchange + kKept);
  EXPECT_EQ(server.connections(), 1);
  EXPECT_EQ(hooks_.all<EventKind::body_closed>().at(0).outcome, BodyOutcome::none);
}

TEST_F(HookSequence, InterimResponses) {
  ScriptedServer server([](Peer& peer, int) {
    while (peer.read_head()) {
      peer.write("HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 103 Early Hints\r\n\r\n");
      peer.respond();
    }
  });
  Client& client = use();
  ASSERT_TRUE(client.get(server.url()));
  EXPECT_EQ(hooks_.sequence(1), kStart + kDial +
                                    "got_conn wrote_headers wrote_request got_first_response_byte got_1xx_response "
                                    "got_1xx_response response_head body_done " +
                                    kKept);
  EXPECT_EQ(hooks_.all<EventKind::got_1xx_response>().at(0).code, 103);
}

TEST_F(HookSequence, BodyWaitsForContinue) {
  ScriptedServer server([](Peer& peer, int) {
    ASSERT_TRUE(peer.read_head());
    peer.write("HTTP/1.1 100 Continue\r\n\r\n");
    EXPECT_EQ(peer.read_bytes(4), "body");
    peer.respond();
    peer.read_to_end();
  });
  Client& client = use({.expect_continue_timeout = std::chrono::hours(1)});
  ASSERT_TRUE(client.send(
      Request{.method = "POST", .url = server.url(), .headers = {{"Expect", "100-continue"}}, .body = "body"}));
  EXPECT_EQ(hooks_.sequence(1), kStart + kDial +
                                    "got_conn wrote_headers wait_100_continue got_first_response_byte got_100_continue "
                                    "got_1xx_response wrote_request response_head body_done " +
                                    kKept);
}

TEST_F(HookSequence, BodyIsSentWhenContinueDoesNotCome) {
  ScriptedServer server([](Peer& peer, int) {
    ASSERT_TRUE(peer.read_head());
    EXPECT_EQ(peer.read_bytes(4), "body");
    peer.respond();
    peer.read_to_end();
  });
  Client& client = use({.expect_continue_timeout = std::chrono::milliseconds(20)});
  ASSERT_TRUE(client.send(
      Request{.method = "POST", .url = server.url(), .headers = {{"Expect", "100-continue"}}, .body = "body"}));
  EXPECT_EQ(hooks_.sequence(1), kStart + kDial +
                                    "got_conn wrote_headers wait_100_continue wrote_request got_first_response_byte "
                                    "response_head body_done " +
                                    kKept);
}

TEST_F(HookSequence, QueuedBehindTheLimitAndHandedOver) {
  std::latch first_arrived(1);
  std::latch go_on(1);
  ScriptedServer server([&](Peer& peer, int) {
    ASSERT_TRUE(peer.read_head());
    first_arrived.count_down();
    go_on.wait();
    peer.respond();
    answer_all(peer, 0);
  });
  Client& client = use({.max_conns_per_host = 1});
  auto first = client.send_async(Request{.url = server.url()});
  first_arrived.wait();
  auto second = client.send_async(Request{.url = server.url()});
  ASSERT_TRUE(hooks_.wait_for_count(EventKind::queue_enter, 1));
  EXPECT_EQ(transport_->pool_snapshot().waiting, 1u);
  go_on.count_down();
  ASSERT_TRUE(first.get());
  ASSERT_TRUE(second.get());

  EXPECT_EQ(hooks_.sequence(2), kStart + "queue_enter queue_leave " + kExchange + kKept);
  const auto enter = hooks_.all<EventKind::queue_enter>().at(0);
  EXPECT_EQ(enter.limit, Limit::max_conns_per_host);
  EXPECT_EQ(enter.limit_value, 1u);
  EXPECT_EQ(enter.position, 1u);
  EXPECT_EQ(enter.depth, 1u);
  ASSERT_EQ(enter.holders.size(), 1u);
  EXPECT_EQ(enter.holders[0].request, 1u);
  EXPECT_EQ(enter.holders[0].doing, Phase::wait);
  const auto leave = hooks_.all<EventKind::queue_leave>().at(0);
  EXPECT_EQ(leave.outcome, QueueOutcome::handoff);
  EXPECT_EQ(leave.released_by, 1u);
  ASSERT_EQ(leave.holders.size(), 1u);
  EXPECT_EQ(leave.holders[0].request, 1u);
  EXPECT_EQ(leave.holders[0].doing, Phase::wait);
  EXPECT_DOUBLE_EQ(leave.holders[0].share, 1.0);
  EXPECT_GT(leave.waited_ns, 0u);
  EXPECT_EQ(hooks_.all<EventKind::put_idle_conn>(1).at(0).handed_to, 2u);
  const auto got = hooks_.all<EventKind::got_conn>(2).at(0);
  EXPECT_TRUE(got.reused);
  EXPECT_FALSE(got.was_idle);
}

TEST_F(HookSequence, QueuedBehindTheLimitAndItsConnectionCloses) {
  std::latch first_arrived(1);
  std::latch go_on(1);
  ScriptedServer server([&](Peer& peer, int connection) {
    ASSERT_TRUE(peer.read_head());
    if (connection == 0) {
      first_arrived.count_down();
      go_on.wait();
    }
    peer.respond("ok", "Connection: close\r\n");
    peer.read_to_end();
  });
  Client& client = use({.max_conns_per_host = 1});
  auto first = client.send_async(Request{.url = server.url()});
  first_arrived.wait();
  auto second = client.send_async(Request{.url = server.url()});
  ASSERT_TRUE(hooks_.wait_for_count(EventKind::queue_enter, 1));
  go_on.count_down();
  ASSERT_TRUE(first.get());
  ASSERT_TRUE(second.get());
  EXPECT_TRUE(hooks_.sequence(2).starts_with(kStart + "queue_enter queue_leave why_new connect_start "));
  const auto leave = hooks_.all<EventKind::queue_leave>().at(0);
  EXPECT_EQ(leave.outcome, QueueOutcome::slot_freed);
  EXPECT_EQ(leave.released_by, 1u);
}

TEST_F(HookSequence, StaleConnectionIsRetriedForAGetOnly) {
  // The second request on the first connection is read and answered with FIN: the race that no check can win.
  const auto script = [](Peer& peer, int connection) {
    if (!peer.read_head()) return;
    peer.respond();
    if (connection > 0) answer_all(peer, 0);
    if (peer.read_head()) peer.close();
  };
  ScriptedServer server(script);
  Client& client = use();
  ASSERT_TRUE(client.get(server.url()));
  ASSERT_TRUE(client.get(server.url()));
  EXPECT_EQ(hooks_.sequence(2),
            kStart + "got_conn wrote_headers wrote_request retry get_conn " + kDial + kExchange + kKept);
  EXPECT_EQ(hooks_.all<EventKind::retry>(2).at(0).next_attempt, 2u);
  const ConnClosedInfo end = closed();
  EXPECT_EQ(end.reason, CloseReason::server_closed_idle);
  EXPECT_EQ(end.by, ClosedBy::peer);
  EXPECT_TRUE(end.inferred);

  ScriptedServer other(script);
  ASSERT_TRUE(client.get(other.url()));
  const auto post = client.send(Request{.method = "POST", .url = other.url(), .body = "x"});
  ASSERT_FALSE(post);
  EXPECT_EQ(post.error().code, Errc::closed_before_response);
  EXPECT_EQ(post.error().phase, Phase::wait);
}

TEST_F(HookSequence, PerRequestHooksRunFirstAndEndWithTheRequest) {
  ScriptedServer server(answer_all);
  Client& client = use();
  HookRecorder own;
  ASSERT_TRUE(client.send(Request{.url = server.url(), .trace = own.trace()}));
  EXPECT_EQ(own.sequence(1), kStart + kDial + kExchange + kKept);
  ASSERT_TRUE(client.get(server.url()));
  EXPECT_EQ(own.sequence(2), "");
  EXPECT_EQ(own.broken_rule(), "");
}

TEST_F(HookSequence, WhatAHookThrowsIsCountedAndDropped) {
  ScriptedServer server(answer_all);
  Client& client = use();
  auto trace = std::make_shared<ClientTrace>();
  trace->got_conn = [](const HookContext&, const GotConnInfo&) { throw std::runtime_error("no"); };
  EXPECT_TRUE(client.send(Request{.url = server.url(), .trace = trace}));
  EXPECT_EQ(transport_->hook_exceptions(), 1u);
}

TEST_F(HookSequence, AnErrorOfTheInterimHookEndsTheRequest) {
  ScriptedServer server([](Peer& peer, int) {
    if (peer.read_head()) peer.write("HTTP/1.1 103 Early Hints\r\n\r\n");
    peer.read_to_end();
  });
  Client& client = use();
  auto trace = std::make_shared<ClientTrace>();
  trace->got_1xx_response = [](const HookContext&, const Got1xxResponseInfo&) {
    return std::make_error_code(std::errc::not_supported);
  };
  const auto result = client.send(Request{.url = server.url(), .trace = trace});
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code, std::errc::not_supported);
}

TEST_F(HookSequence, EveryHeaderFieldIsToldAsItWasSent) {
  std::string seen;
  ScriptedServer server([&](Peer& peer, int) {
    seen = peer.read_head().value_or("");
    peer.respond();
    peer.read_to_end();
  });
  Client& client = use();
  ASSERT_TRUE(client.send(Request{.url = server.url("/p?q=1"), .headers = {{"X-One", "1"}, {"X-One", "2"}}}));
  std::string told = "GET /p?q=1 HTTP/1.1\r\n";
  for (const auto& field : hooks_.all<EventKind::wrote_header_field>()) {
    told += std::string(field.key) + ": " + std::string(field.values[0]) + "\r\n";
  }
  EXPECT_EQ(told + "\r\n", seen);
  EXPECT_EQ(hooks_.all<EventKind::request_start>().at(0).url,
            "http://127.0.0.1:" + std::to_string(server.port()) + "/p?q=*");
}

}  // namespace
}  // namespace conntrace::test
