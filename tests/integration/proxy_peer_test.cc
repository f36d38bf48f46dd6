// SPDX-License-Identifier: Apache-2.0
// Proxies that others wrote: squid, tinyproxy and microsocks. Without one of them it says so and exits with 77.
#include <gmock/gmock.h>

#include <cstdio>

#include "integration/transport_fixture.h"
#include "support/deadline.h"
#include "support/peer_process.h"
#include "support/reserved_port.h"
#include "support/temporary_folder.h"

namespace conntrace::test {
namespace {

using ::testing::HasSubstr;

class ProxyPeers : public TransportTest {
 protected:
  [[nodiscard]] static ProxyFunction by(const std::string& url) { return fixed_proxy(parse_proxy_url(url).value()); }
};

/// Asks for credentials, me:mine, if it is told to.
class Squid {
 public:
  explicit Squid(std::uint16_t connect_port, bool asks = false)
      : process_({find_program("squid"), "-N", "-n", "test" + std::to_string(port_.port()), "-f",
                  configure(connect_port, asks)},
                 port_.port()) {}
  [[nodiscard]] std::string url(const std::string& credentials = {}) const {
    return "http://" + credentials + "127.0.0.1:" + std::to_string(port_.port());
  }
  [[nodiscard]] std::string log() const { return process_.log() + folder_.read("cache.log"); }
  /// What its log says of each request: its result, method and URI.
  [[nodiscard]] std::string visits() const { return folder_.read("access.log"); }

 private:
  std::string configure(std::uint16_t connect_port, bool asks) const {
    const std::string& at = folder_.path();
    const std::string helper = folder_.write("helper.sh", R"(while read -r user password; do
  if [ "$user $password" = "me mine" ]; then echo OK; else echo ERR; fi
done
)");
    return folder_.write("squid.conf", "http_port 127.0.0.1:" + std::to_string(port_.port()) + "\npid_filename " + at +
                                           "/pid\ncache_log " + at + "/cache.log\nlogformat visits %>Hs %rm %ru\n" +
                                           "access_log stdio:" + at + "/access.log visits\ncoredump_dir " + at +
                                           "\ncache deny all\ncache_mem 1 MB\nshutdown_lifetime 0 seconds\n" +
                                           "buffered_logs off\npinger_enable off\nvisible_hostname test\n" +
                                           "max_filedescriptors 256\nacl good port " + std::to_string(connect_port) +
                                           "\nacl CONNECT method CONNECT\nhttp_access deny CONNECT !good\n" +
                                           (asks ? "auth_param basic program /bin/sh " + helper +
                                                       "\nauth_param basic children 1\nacl known proxy_auth REQUIRED\n"
                                                       "http_access allow known\nhttp_access deny all\n"
                                                 : "http_access allow all\n"));
  }

  const ReservedPort port_;
  TemporaryFolder folder_;
  PeerProcess process_;
};

TEST_F(ProxyPeers, SquidForwardsToManyHostsOverOneConnection) {
  ScriptedServer one(answer_all);
  ScriptedServer two(answer_all);
  Squid proxy(1);
  Client& client = use({.proxy = by(proxy.url())});
  for (const std::string& url : {one.url("/a"), two.url("/b"), one.url("/c")}) {
    const auto response = client.get(url);
    ASSERT_TRUE(response) << response.error().message() << proxy.log();
    EXPECT_EQ(response->body, "ok") << proxy.log();
    EXPECT_NE(find_header(response->headers, "Via"), nullptr);
  }
  EXPECT_EQ(hooks_.count(EventKind::why_new), 1u);
  const std::string visits =
      "200 GET " + one.url("/a") + "\n200 GET " + two.url("/b") + "\n200 GET " + one.url("/c") + "\n";
  EXPECT_TRUE(testing::eventually([&] { return proxy.visits().find(visits) != std::string::npos; })) << proxy.visits();
}

TEST_F(ProxyPeers, SquidTunnelsForWhoItKnows) {
  ScriptedServer origin(answer_all, true);
  Squid proxy(origin.port(), true);
  Client& client = use({.tls = {.ca_file = origin.certificate_file()}, .proxy = by(proxy.url("me:mine@"))});
  for (int i = 0; i < 2; ++i) {
    const auto response = client.get(origin.url());
    ASSERT_TRUE(response) << response.error().message() << proxy.log();
    EXPECT_EQ(response->body, "ok");
  }
  EXPECT_EQ(origin.connections(), 1) << "the second request reuses the tunnel";
  EXPECT_EQ(hooks_.all<EventKind::proxy_connect_done>().at(0).status, 200);
}

TEST_F(ProxyPeers, SquidRefusesWhoItDoesNotKnow) {
  ScriptedServer origin(answer_all);
  Squid proxy(1, true);
  Client& client = use({.proxy = by(proxy.url("me:yours@"))});
  const auto tunnel = client.get("https://127.0.0.1:1/");
  ASSERT_FALSE(tunnel);
  EXPECT_EQ(tunnel.error().code, Errc::proxy_refused);
  EXPECT_EQ(hooks_.all<EventKind::proxy_connect_done>().at(0).status, 407) << proxy.log();
  const auto forwarded = client.get(origin.url());
  ASSERT_TRUE(forwarded) << forwarded.error().message();
  EXPECT_EQ(forwarded->status, 407);
  EXPECT_EQ(origin.connections(), 0);
}

TEST_F(ProxyPeers, SquidMayNotConnectThere) {
  Squid proxy(1);
  Client& client = use({.proxy = by(proxy.url())});
  ASSERT_FALSE(client.get("https://127.0.0.1:2/"));
  EXPECT_EQ(hooks_.all<EventKind::proxy_connect_done>().at(0).status, 403);
  ASSERT_FALSE(client.get("https://127.0.0.1:1/"));
  EXPECT_EQ(hooks_.all<EventKind::proxy_connect_done>().at(1).status, 503) << "nobody listens there";
}

/// Lets CONNECT lead to `connect_port` only.
class Tinyproxy {
 public:
  explicit Tinyproxy(std::uint16_t connect_port, const std::string& more = {})
      : configuration_("Port " + std::to_string(port_.port()) +
                       "\nListen 127.0.0.1\nTimeout 10\nMaxClients 10\nConnectPort " + std::to_string(connect_port) +
                       "\n" + more),
        process_({find_program("tinyproxy"), "-d", "-c", configuration_.path()}, port_.port()) {}
  [[nodiscard]] std::string url(const std::string& credentials = {}) const {
    return "http://" + credentials + "127.0.0.1:" + std::to_string(port_.port());
  }

 private:
  const ReservedPort port_;
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
  const ReservedPort reserved;
  const std::string port = std::to_string(reserved.port());
  PeerProcess process({find_program("microsocks"), "-i", "127.0.0.1", "-p", port, "-u", "me", "-P", "mine"},
                      reserved.port());
  Client& client =
      use({.tls = {.ca_file = secure.certificate_file()}, .proxy = by("socks5://me:mine@127.0.0.1:" + port)});
  for (const std::string& url : {plain.url(), secure.url()}) {
    const auto response = client.get(url);
    ASSERT_TRUE(response) << response.error().message() << process.log();
    EXPECT_EQ(response->body, "ok");
  }
  EXPECT_EQ(hooks_.count(EventKind::proxy_connect_done), 2u);
  const ReservedPort nobody;
  const auto refused = client.get(nobody.url());
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Errc::proxy_refused);
  EXPECT_EQ(hooks_.all<EventKind::proxy_connect_done>().at(2).status, 5) << "connection refused";
}

}  // namespace
}  // namespace conntrace::test

int main(int argc, char** argv) {
  testing::InitGoogleTest(&argc, argv);
  for (const char* name : {"squid", "tinyproxy", "microsocks"}) {
    if (!conntrace::test::find_program(name).empty()) continue;
    std::fprintf(stderr, "real proxies cannot be tested here: %s is not installed\n", name);
    return 77;
  }
  return RUN_ALL_TESTS();
}
