// SPDX-License-Identifier: Apache-2.0
// Upgrade and CONNECT: a connection that becomes a stream of bytes both ways.
#include <latch>
#include <thread>

#include "conntrace/pipe_body.h"
#include "integration/transport_fixture.h"

namespace conntrace::test {
namespace {

class Tunnel : public TransportTest {
 protected:
  static Request upgrade(const ScriptedServer& server, std::shared_ptr<BodySource> source) {
    return {.url = server.url(),
            .headers = {{"Connection", "Upgrade"}, {"Upgrade", "echo"}},
            .body_source = std::move(source)};
  }

  static std::string read(BodyReader& reader, std::size_t bytes) {
    std::string text(bytes, '\0');
    for (std::size_t at = 0; at < bytes;) {
      const auto got = reader.read(text.data() + at, bytes - at);
      if (!got || *got == 0) return text.substr(0, at) + (got ? " (end)" : got.error().message());
      at += *got;
    }
    return text;
  }
};

constexpr const char* kSwitch = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n";

class TunnelOver : public Tunnel, public testing::WithParamInterface<bool> {};

TEST_P(TunnelOver, BytesGoBothWaysAfter101) {
  std::string head;
  ScriptedServer server(
      [&](Peer& peer, int) {
        head = peer.read_head().value_or("");
        peer.write(std::string(kSwitch) + "hello");  // in one segment: none of it may be lost
        EXPECT_EQ(peer.read_bytes(4), "ping");
        peer.write("pong");
        EXPECT_EQ(peer.read_bytes(4), "bye!");
        peer.close();
      },
      GetParam());
  TransportOptions options;
  options.tls.ca_file = server.certificate_file();
  auto pipe = std::make_shared<PipeBody>();
  auto opened = use(options).open(upgrade(server, pipe));
  ASSERT_TRUE(opened) << opened.error().message();
  EXPECT_EQ(opened->head.status, 101);
  EXPECT_EQ(read(opened->body, 5), "hello");
  ASSERT_TRUE(pipe->write("ping"));
  EXPECT_EQ(read(opened->body, 4), "pong");
  ASSERT_TRUE(pipe->write("bye!"));
  EXPECT_EQ(read(opened->body, 1), " (end)");
  EXPECT_EQ(close_reason(), CloseReason::handed_over);
  EXPECT_EQ(head.find("Transfer-Encoding"), std::string::npos) << head;
  EXPECT_EQ(head.find("Content-Length"), std::string::npos) << head;
  EXPECT_EQ(pipe->write("too late").error().code, Errc::cancelled);
  EXPECT_EQ(transport_->pool_snapshot().open, 0u);
}

INSTANTIATE_TEST_SUITE_P(Tcp, TunnelOver, testing::Values(false));
INSTANTIATE_TEST_SUITE_P(Tls, TunnelOver, testing::Values(true));

TEST_F(Tunnel, EndOfTheSourceHalfCloses) {
  ScriptedServer server([&](Peer& peer, int) {
    EXPECT_TRUE(peer.read_head());
    peer.write(kSwitch);
    EXPECT_EQ(peer.read_bytes(4), "last");
    peer.read_to_end();  // the client's FIN
    peer.write("still here");
  });
  auto pipe = std::make_shared<PipeBody>();
  auto opened = use().open(upgrade(server, pipe));
  ASSERT_TRUE(opened) << opened.error().message();
  ASSERT_TRUE(pipe->write("last"));
  pipe->finish();
  const auto rest = opened->body.read_all();
  ASSERT_TRUE(rest) << rest.error().message();
  EXPECT_EQ(*rest, "still here");
}

TEST_F(Tunnel, GivingItUpClosesTheConnection) {
  std::latch ended(1);
  ScriptedServer server([&](Peer& peer, int) {
    EXPECT_TRUE(peer.read_head());
    peer.write(kSwitch);
    peer.read_to_end();
    ended.count_down();
  });
  {
    auto opened = use().open(upgrade(server, std::make_shared<PipeBody>()));
    ASSERT_TRUE(opened) << opened.error().message();
  }
  ended.wait();
  EXPECT_EQ(close_reason(), CloseReason::handed_over);
}

TEST_F(Tunnel, RefusedUpgradeKeepsTheConnectionAndTakesNothingFromTheSource) {
  ScriptedServer server([](Peer& peer, int) {
    EXPECT_TRUE(peer.read_head());
    peer.write("HTTP/1.1 426 Upgrade Required\r\nContent-Length: 2\r\n\r\nno");
    while (peer.read_head()) peer.respond();
  });
  Client& client = use();
  auto pipe = std::make_shared<PipeBody>();
  const auto refused = client.send(upgrade(server, pipe));
  ASSERT_TRUE(refused) << refused.error().message();
  EXPECT_EQ(refused->status, 426);
  EXPECT_EQ(refused->body, "no");
  EXPECT_EQ(pipe->write("x").error().code, Errc::cancelled);
  ASSERT_TRUE(client.get(server.url()));
  EXPECT_EQ(server.connections(), 1);
}

TEST_F(Tunnel, ReceiveTimeoutDoesNotLimitIt) {
  constexpr auto kTimeout = std::chrono::milliseconds(20);
  ScriptedServer server([](Peer& peer, int) {
    EXPECT_TRUE(peer.read_head());
    peer.write(kSwitch);
    EXPECT_EQ(peer.read_bytes(4), "ping");
    peer.write("pong");
  });
  auto pipe = std::make_shared<PipeBody>();
  auto opened = use({.receive_timeout = kTimeout}).open(upgrade(server, pipe));
  ASSERT_TRUE(opened) << opened.error().message();
  std::latch later(1);
  transport_->run_after(3 * kTimeout, [&](bool) { later.count_down(); });
  later.wait();
  ASSERT_TRUE(pipe->write("ping"));
  EXPECT_EQ(read(opened->body, 4), "pong");
}

TEST_F(Tunnel, ConnectNamesTheHostAndIgnoresTheLengthOfAGrant) {
  std::string head;
  ScriptedServer server([&](Peer& peer, int) {
    head = peer.read_head().value_or("");
    peer.write("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n");
    EXPECT_EQ(peer.read_bytes(4), "ping");
    peer.write("pong");
  });
  auto pipe = std::make_shared<PipeBody>();
  auto opened = use().open(
      {.method = "CONNECT", .url = server.url(), .headers = {{"Host", "origin.test:443"}}, .body_source = pipe});
  ASSERT_TRUE(opened) << opened.error().message();
  ASSERT_TRUE(pipe->write("ping"));
  EXPECT_EQ(read(opened->body, 4), "pong");
  EXPECT_TRUE(head.starts_with("CONNECT origin.test:443 HTTP/1.1\r\nHost: origin.test:443\r\n")) << head;
}

TEST_F(Tunnel, RefusedConnectIsAnOrdinaryResponse) {
  ScriptedServer server([&](Peer& peer, int) {
    const auto head = peer.read_head().value_or("");
    EXPECT_TRUE(head.starts_with("CONNECT 127.0.0.1:")) << head;
    peer.write("HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno");
    peer.read_to_end();
  });
  const auto refused = use().send({.method = "CONNECT", .url = server.url()});
  ASSERT_TRUE(refused) << refused.error().message();
  EXPECT_EQ(refused->status, 403);
  EXPECT_EQ(refused->body, "no");
}

}  // namespace
}  // namespace conntrace::test
