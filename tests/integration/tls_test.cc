// SPDX-License-Identifier: Apache-2.0
#include "integration/transport_fixture.h"

namespace conntrace::test {
namespace {

class Tls : public TransportTest {};

TEST_F(Tls, HandshakeIsBetweenConnectAndConnection) {
  ScriptedServer server(answer_all, true);
  Client& client = use({.tls = {.ca_file = server.certificate_file()}});
  const auto first = client.get(server.url());
  ASSERT_TRUE(first) << first.error().message();
  ASSERT_TRUE(client.get(server.url()));
  EXPECT_EQ(hooks_.sequence(1),
            std::string("request_start get_conn why_new connect_start connect_done tls_handshake_start "
                        "tls_handshake_done dial_done ") +
                kExchange + "put_idle_conn body_closed request_done");
  EXPECT_EQ(server.connections(), 1);
  const auto tls = hooks_.all<EventKind::tls_handshake_done>().at(0);
  EXPECT_EQ(tls.version, "TLSv1.3");
  EXPECT_EQ(tls.alpn, "http/1.1");
  EXPECT_FALSE(tls.cipher.empty());
  EXPECT_FALSE(tls.resumed);
  EXPECT_EQ(tls.error, "");
}

TEST_F(Tls, CertificateThatNobodyVouchesFor) {
  ScriptedServer server(answer_all, true);
  Client& client = use();
  const auto result = client.get(server.url());
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().phase, Phase::tls);
  EXPECT_NE(hooks_.all<EventKind::tls_handshake_done>().at(0).error, "");
}

TEST_F(Tls, PlainServer) {
  ScriptedServer server([](Peer& peer, int) { peer.write("HTTP/1.1 400 Bad Request\r\n\r\n"); });
  Client& client = use();
  const auto result = client.get("https://127.0.0.1:" + std::to_string(server.port()) + "/");
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().phase, Phase::tls);
}

TEST_F(Tls, HandshakeTimeout) {
  ScriptedServer server([](Peer& peer, int) { peer.read_to_end(); });
  Client& client = use({.tls_handshake_timeout = std::chrono::milliseconds(50)});
  const auto result = client.get("https://127.0.0.1:" + std::to_string(server.port()) + "/");
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code, std::errc::timed_out);
  EXPECT_EQ(result.error().phase, Phase::tls);
}

TEST_F(Tls, ServerClosesAnIdleConnection) {
  ScriptedServer server(
      [&](Peer& peer, int) {
        ASSERT_TRUE(peer.read_head());
        peer.respond();
        ASSERT_TRUE(hooks_.wait_for_count(EventKind::request_done, 1));
      },
      true);
  Client& client = use({.tls = {.ca_file = server.certificate_file()}});
  ASSERT_TRUE(client.get(server.url()));
  const ConnClosedInfo end = closed();
  EXPECT_EQ(end.reason, CloseReason::server_closed_idle);
  EXPECT_EQ(end.by, ClosedBy::peer);
}

TEST_F(Tls, LargeBodiesBothWays) {
  const std::string body(4 << 20, 'z');
  ScriptedServer server(
      [&](Peer& peer, int) {
        if (!peer.read_head()) return;
        peer.respond(peer.read_bytes(body.size()));
        peer.read_to_end();
      },
      true);
  Client& client = use({.tls = {.ca_file = server.certificate_file()}});
  const auto response = client.send(Request{.method = "POST", .url = server.url(), .body = body});
  ASSERT_TRUE(response) << response.error().message();
  EXPECT_EQ(response->body, body);
}

}  // namespace
}  // namespace conntrace::test
