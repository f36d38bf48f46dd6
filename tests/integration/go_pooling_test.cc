// SPDX-License-Identifier: Apache-2.0
// Go's tests of pooling and reuse, asked of this client (docs/go-behaviours.md, 1 to 21).
#include <gmock/gmock.h>

#include <algorithm>
#include <atomic>
#include <latch>
#include <thread>

#include "integration/go_fixture.h"
#include "support/deadline.h"
#include "support/gzip.h"

namespace conntrace::test {
namespace {

using conntrace::testing::eventually;
using ::testing::ElementsAre;

class GoPooling : public GoTest {};

std::string answer_of(std::string_view fields, std::string_view body = {}) {
  return "HTTP/1.1 200 OK\r\n" + std::string(fields) + "\r\n" + std::string(body);
}

std::string chunked(std::string_view body) {
  char size[20];
  std::snprintf(size, sizeof size, "%zx\r\n", body.size());
  return size + std::string(body) + "\r\n0\r\n\r\n";
}

TEST_F(GoPooling, TransportKeepAlives) {
  ScriptedServer server(answer_all);
  Client& client = use();
  for (int i = 0; i < 2; ++i) ASSERT_TRUE(client.get(server.url()));
  EXPECT_EQ(ports()[0], ports()[1]);
  EXPECT_EQ(server.connections(), 1);
}

TEST_F(GoPooling, TransportKeepAlivesDisabled) {
  ScriptedServer server(answer_all);
  Client& client = use({.disable_keep_alives = true});
  for (int i = 0; i < 2; ++i) ASSERT_TRUE(client.get(server.url()));
  EXPECT_NE(connections()[0], connections()[1]);
  EXPECT_EQ(server.connections(), 2);
}

TEST_F(GoPooling, TransportConnectionCloseOnResponse) {
  std::atomic<int> ended = 0;
  ScriptedServer server([&](Peer& peer, int) {
    if (!peer.read_head()) return;
    peer.respond("ok", "Connection: close\r\n");
    peer.read_to_end();  // the client closes, not the server
    ++ended;
  });
  Client& client = use();
  for (int i = 0; i < 2; ++i) ASSERT_TRUE(client.get(server.url()));
  EXPECT_EQ(server.connections(), 2);
  EXPECT_TRUE(eventually([&] { return ended == 2; }));
}

TEST_F(GoPooling, TransportConnectionCloseOnRequest) {
  std::atomic<int> said_close = 0;
  ScriptedServer server([&](Peer& peer, int) {
    while (const auto head = peer.read_head()) {
      said_close += head->find("Connection: close\r\n") != std::string::npos ? 1 : 0;
      peer.respond();
    }
  });
  Client& client = use();
  for (int i = 0; i < 2; ++i) {
    ASSERT_TRUE(client.send(Request{.url = server.url(), .headers = {{"Connection", "close"}}}));
  }
  EXPECT_EQ(said_close, 2);
  EXPECT_EQ(server.connections(), 2);
}

TEST_F(GoPooling, TransportRespectRequestWantsClose) {
  for (const bool disabled : {false, true}) {
    for (const bool asked : {false, true}) {
      std::promise<std::string> head;
      ScriptedServer server([&](Peer& peer, int) {
        head.set_value(peer.read_head().value_or(""));
        peer.respond();
        peer.read_to_end();
      });
      Client client(std::make_shared<Transport>(TransportOptions{.disable_keep_alives = disabled}));
      Request request{.url = server.url()};
      if (asked) request.headers = {{"Connection", "close"}};
      ASSERT_TRUE(client.send(std::move(request)));
      const std::string text = head.get_future().get();
      int times = 0;
      for (auto at = text.find("Connection: close"); at != std::string::npos;
           at = text.find("Connection: close", at + 1)) {
        ++times;
      }
      EXPECT_EQ(times, disabled || asked ? 1 : 0) << text;
    }
  }
}

TEST_F(GoPooling, TransportIdleCacheKeys) {
  ScriptedServer server(answer_all);
  Client& client = use();
  EXPECT_TRUE(transport_->host_snapshots().empty());
  ASSERT_TRUE(client.get(server.url()));
  const auto hosts = transport_->host_snapshots();
  ASSERT_EQ(hosts.size(), 1u);
  EXPECT_EQ(hosts[0].proxy + "|" + hosts[0].scheme + "|" + hosts[0].host_port,
            "|http|127.0.0.1:" + std::to_string(server.port()));
  transport_->close_idle_connections();
  EXPECT_TRUE(transport_->host_snapshots().empty());
}

TEST_F(GoPooling, TransportReadToEndReusesConn) {
  ScriptedServer server([](Peer& peer, int) {
    while (const auto head = peer.read_head()) {
      peer.write(head->starts_with("GET /chunked") ? answer_of("Transfer-Encoding: chunked\r\n", chunked("foobar"))
                                                   : answer_of("Content-Length: 6\r\n", "foobar"));
    }
  });
  Client& client = use();
  std::vector<OpenResponse> kept;  // none is closed: reading to the end is enough
  for (const char* path : {"/length", "/length", "/chunked", "/chunked"}) {
    auto opened = client.open({.url = server.url(path)});
    ASSERT_TRUE(opened);
    char byte = 0;
    std::string body;
    for (auto got = opened->body.read(&byte, 1); got.value_or(0) == 1; got = opened->body.read(&byte, 1)) body += byte;
    EXPECT_EQ(body, "foobar");
    kept.push_back(std::move(*opened));
  }
  EXPECT_EQ(server.connections(), 1);
}

TEST_F(GoPooling, TransportReuseConnectionGzip) {
  const std::string body(20'000, 'x');
  ScriptedServer server([&](Peer& peer, int) {
    while (const auto head = peer.read_head()) {
      EXPECT_NE(head->find("Accept-Encoding: "), std::string::npos);
      const std::string coded = gzip(body);
      peer.write(
          head->starts_with("GET /chunked")
              ? answer_of("Content-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n", chunked(coded))
              : answer_of("Content-Encoding: gzip\r\nContent-Length: " + std::to_string(coded.size()) + "\r\n", coded));
    }
  });
  Client& client = use();
  for (const char* path : {"/chunked", "/chunked", "/length", "/length"}) {
    const auto response = client.get(server.url(path));
    ASSERT_TRUE(response) << response.error().message();
    EXPECT_EQ(response->body, body);
    EXPECT_TRUE(response->uncompressed);
  }
  EXPECT_EQ(server.connections(), 1);
}

TEST_F(GoPooling, TransportHeadResponses) {
  ScriptedServer server([](Peer& peer, int) {
    while (const auto head = peer.read_head()) {
      EXPECT_TRUE(head->starts_with("HEAD "));
      peer.write(head->starts_with("HEAD /chunked") ? answer_of("Transfer-Encoding: chunked\r\n")
                                                    : answer_of("Content-Length: 123\r\n"));
    }
  });
  Client& client = use();
  for (const char* path : {"/length", "/length", "/chunked", "/chunked"}) {
    const auto response = client.send(Request{.method = "HEAD", .url = server.url(path)});
    ASSERT_TRUE(response) << response.error().message();
    EXPECT_EQ(response->body, "");
    const std::string* length = find_header(response->headers, "Content-Length");
    EXPECT_EQ(length != nullptr ? *length : "none", path == std::string("/length") ? "123" : "none");
  }
  EXPECT_EQ(hooks_.all<EventKind::response_head>().at(0).content_length, 123u);
  EXPECT_EQ(server.connections(), 1);
}

TEST_F(GoPooling, ChunkedNoContent) {
  ScriptedServer server([](Peer& peer, int) {
    while (const auto head = peer.read_head()) {
      const std::string status = head->starts_with("GET /304") ? "304 Not Modified" : "204 No Content";
      peer.write("HTTP/1.1 " + status + "\r\nTransfer-Encoding: chunked\r\n\r\n");
    }
  });
  Client& client = use();
  for (const int status : {204, 304, 204, 304}) {
    const auto response = client.get(server.url("/" + std::to_string(status)));
    ASSERT_TRUE(response) << response.error().message();
    EXPECT_EQ(response->status, status);
    EXPECT_EQ(response->body, "");
  }
  EXPECT_EQ(server.connections(), 1);
}

TEST_F(GoPooling, TransportServerClosingUnexpectedly) {
  // Each connection answers some requests and then ends, unannounced.
  ScriptedServer server([](Peer& peer, int connection) {
    for (int n = 0; n <= connection % 3 && peer.read_head(); ++n) peer.respond();
  });
  Client& client = use();
  for (int i = 0; i < 30; ++i) {
    const auto response = client.get(server.url());
    ASSERT_TRUE(response) << i << ": " << response.error().message();
    EXPECT_EQ(response->body, "ok");
  }
  EXPECT_GT(server.connections(), 10);
}

TEST_F(GoPooling, StressSurpriseServerCloses) {
  ScriptedServer server([](Peer& peer, int) {
    if (!peer.read_head()) return;
    peer.respond("Hello", "Content-Type: text/plain\r\n");  // and, unannounced, the end
  });
  Client& client = use();
  std::atomic<int> returned = 0;
  std::vector<std::jthread> clients;
  for (int i = 0; i < 20; ++i) {
    clients.emplace_back([&] {
      for (int n = 0; n < 25; ++n) {
        (void)client.get(server.url());
        ++returned;
      }
    });
  }
  clients.clear();
  EXPECT_EQ(returned, 20 * 25);
}

TEST_F(GoPooling, TLSServerClosesConnection) {
  ScriptedServer server(
      [](Peer& peer, int) {
        if (!peer.read_head()) return;
        peer.write("HTTP/1.1 200 OK\r\nConnection: keep-alive\r\nContent-Type: foo\r\n\r\n");  // no length: to the end
        peer.write("foo");
      },
      true);
  Client& client = use({.tls = {.ca_file = server.certificate_file()}});
  for (int i = 0; i < 2; ++i) {
    const auto response = client.get(server.url());
    ASSERT_TRUE(response) << response.error().message();
    EXPECT_EQ(response->body, "foo");
  }
  EXPECT_EQ(server.connections(), 2);
}

TEST_F(GoPooling, TransportIssue10457) {
  ScriptedServer server([](Peer& peer, int) {
    if (peer.read_head()) peer.respond("abc");
  });
  Client& client = use();
  const auto response = client.get(server.url());
  ASSERT_TRUE(response);
  EXPECT_EQ(response->body, "abc");
  EXPECT_EQ(close_reason(), CloseReason::server_closed_idle);
  EXPECT_EQ(transport_->pool_snapshot().open, 0u);
}

TEST_F(GoPooling, TransportPoolConnectionBroken) {
  ScriptedServer server([](Peer& peer, int connection) {
    if (connection > 0) return answer_all(peer, 0);
    if (peer.read_head()) peer.write(answer_of("Content-Length: 10\r\n", "half"));
  });
  Client& client = use();
  EXPECT_FALSE(client.get(server.url()));
  ASSERT_TRUE(client.get(server.url()));
  EXPECT_EQ(connections(), (std::vector<ConnectionId>{1, 2}));
  EXPECT_EQ(close_reason(), CloseReason::read_error);
}

TEST_F(GoPooling, TransportPoolConnReusePriorConnection) {
  ScriptedServer server(answer_all);
  Client& client = use();
  for (int i = 0; i < 3; ++i) ASSERT_TRUE(client.get(server.url()));
  EXPECT_EQ(connections(), (std::vector<ConnectionId>{1, 1, 1}));
}

TEST_F(GoPooling, TransportPoolConnCannotReuseConnectionInUse) {
  std::latch go_on(1);
  ScriptedServer server([&](Peer& peer, int connection) {
    if (!peer.read_head()) return;
    if (connection == 0) go_on.wait();
    peer.respond();
    answer_all(peer, 0);
  });
  Client& client = use();
  auto first = client.send_async(Request{.url = server.url()});
  ASSERT_TRUE(hooks_.wait_for_count(EventKind::got_conn, 1));
  ASSERT_TRUE(client.get(server.url()));
  go_on.count_down();
  ASSERT_TRUE(first.get());
  EXPECT_EQ(connections(), (std::vector<ConnectionId>{1, 2}));
}

TEST_F(GoPooling, ReuseRequest) {
  ScriptedServer server(answer_all);
  Client& client = use();
  const Request request{.method = "POST", .url = server.url(), .headers = {{"X-A", "1"}}};
  for (int i = 0; i < 2; ++i) ASSERT_TRUE(client.send(Request(request)));
  EXPECT_EQ(server.connections(), 1);
}

TEST_F(GoPooling, CloseIdleConnections) {
  ScriptedServer server(answer_all);
  Client& client = use();
  for (int i = 0; i < 2; ++i) {
    ASSERT_TRUE(client.get(server.url()));
    transport_->close_idle_connections();
  }
  EXPECT_THAT(close_reasons(2), ElementsAre(CloseReason::close_idle_connections, CloseReason::close_idle_connections));
  EXPECT_EQ(server.connections(), 2);
}

TEST_F(GoPooling, TransportIdleConnCrash) {
  std::latch go_on(1);
  ScriptedServer server([&](Peer& peer, int) {
    if (!peer.read_head()) return;
    go_on.wait();
    peer.respond();
    answer_all(peer, 0);
  });
  Client& client = use();
  auto response = client.send_async(Request{.url = server.url()});
  ASSERT_TRUE(hooks_.wait_for_count(EventKind::wrote_request, 1));
  transport_->close_idle_connections();
  EXPECT_EQ(transport_->pool_snapshot().active, 1u);
  go_on.count_down();
  EXPECT_TRUE(response.get()) << "what is in use is not idle";
  EXPECT_EQ(close_reason(), CloseReason::close_idle_connections) << "but it is not kept";
  EXPECT_EQ(hooks_.all<EventKind::put_idle_conn>().at(0).error, "close_idle_connections");
}

}  // namespace
}  // namespace conntrace::test
