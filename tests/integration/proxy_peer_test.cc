// SPDX-License-Identifier: Apache-2.0
// Proxies that others wrote: tinyproxy and microsocks. Without one of them it says so and exits with 77.
#include <gmock/gmock.h>

#include <cstdio>

#include "integration/transport_fixture.h"
#include "support/peer_process.h"

namespace conntrace::test {
namespace {

using ::testing::HasSubstr;

class ProxyPeers : public TransportTest {
 protected:
  [[nodiscard]] static ProxyFunction by(const std::string& url) { return fixed_proxy(parse_proxy_url(url).value()); }
};

/// Lets CONNECT lead to `connect_port` only.
class Tinyproxy {
 public:
  explicit Tinyproxy(std::uint16_t connect_port, const std::string& more = {})
      : configuration_("Port " + std::to_string(port) + "\nListen 127.0.0.1\nTimeout 10\nMaxClients 10\nConnectPort " +
                       std::to_string(connect_port) + "\n" + more),
        process_({find_program("tinyproxy"), "-d", "-c", configuration_.path()}, port) {}
  [[nodiscard]] std::string url(const std::string& credentials = {}) const {
    return "http://" + credentials + "127.0.0.1:" + std::to_string(port);
  }
  const std::uint16_t port = free_port();

 private:
  TemporaryFile configuration_;
  PeerProcess process_;
};

TEST_F(ProxyPeers, TinyproxyForwards) {
  std::string seen;
  ScriptedServer origin([&](Peer& peer, int) {
    while (const auto head = peer.read_head()) {
      seen = *head;
      peer.respond();
    }
  });
  Tinyproxy proxy(1);
  Client& client = use({.proxy = by(proxy.url())});
  const auto response = client.get(origin.url("/a?b"));
  ASSERT_TRUE(response) << response.error().message();
  EXPECT_EQ(response->body, "ok");
  EXPECT_THAT(seen, HasSubstr("GET /a?b HTTP/1."));
}

TEST_F(ProxyPeers, TinyproxyTunnels) {
  ScriptedServer origin(answer_all, true);
  Tinyproxy proxy(origin.port(), "BasicAuth me mine\n");
  Client& client = use({.tls = {.ca_file = origin.certificate_file()}, .proxy = by(proxy.url("me:mine@"))});
  for (int i = 0; i < 2; ++i) {
    const auto response = client.get("https://localhost:" + std::to_string(origin.port()) + "/");
    ASSERT_TRUE(response) << response.error().message();
  }
  EXPECT_EQ(origin.connections(), 1) << "the second request reuses the tunnel";
  EXPECT_EQ(hooks_.all<EventKind::proxy_connect_done>().at(0).status, 200);
}

TEST_F(ProxyPeers, TinyproxyRefuses) {
  Tinyproxy proxy(1, "BasicAuth me mine\n");
  Client& client = use({.proxy = by(proxy.url("me:mine@"))});
  const auto result = client.get("https://127.0.0.1:2/");
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code, Errc::proxy_refused);
  EXPECT_EQ(hooks_.all<EventKind::proxy_connect_done>().at(0).status, 403);
}

TEST_F(ProxyPeers, TinyproxyWantsCredentials) {
  Tinyproxy proxy(1, "BasicAuth me mine\n");
  Client& client = use({.proxy = by(proxy.url())});
  const auto result = client.get("https://127.0.0.1:1/");
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code, Errc::proxy_refused);
  EXPECT_GE(hooks_.all<EventKind::proxy_connect_done>().at(0).status, 401);
}

TEST_F(ProxyPeers, Microsocks) {
  ScriptedServer plain(answer_all);
  ScriptedServer secure(answer_all, true);
  const std::uint16_t port = free_port();
  PeerProcess process(
      {find_program("microsocks"), "-i", "127.0.0.1", "-p", std::to_string(port), "-u", "me", "-P", "mine"}, port);
  Client& client = use({.tls = {.ca_file = secure.certificate_file()},
                        .proxy = by("socks5://me:mine@127.0.0.1:" + std::to_string(port))});
  for (const std::string& url : {plain.url(), secure.url()}) {
    const auto response = client.get(url);
    ASSERT_TRUE(response) << response.error().message() << process.log();
    EXPECT_EQ(response->body, "ok");
  }
  EXPECT_EQ(hooks_.count(EventKind::proxy_connect_done), 2u);
  std::string gone;
  {
    const ScriptedServer closed(answer_all);
    gone = closed.url();
  }
  const auto refused = client.get(gone);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Errc::proxy_refused);
  EXPECT_EQ(hooks_.all<EventKind::proxy_connect_done>().at(2).status, 5) << "connection refused";
}

}  // namespace
}  // namespace conntrace::test

int main(int argc, char** argv) {
  testing::InitGoogleTest(&argc, argv);
  for (const char* name : {"tinyproxy", "microsocks"}) {
    if (!conntrace::test::find_program(name).empty()) continue;
    std::fprintf(stderr, "real proxies cannot be tested here: %s is not installed\n", name);
    return 77;
  }
  return RUN_ALL_TESTS();
}
