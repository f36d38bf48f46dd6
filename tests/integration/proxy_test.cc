// SPDX-License-Identifier: Apache-2.0
// Requests through proxies. Names of tests say which of Go's they answer to.
#include <gmock/gmock.h>

#include "integration/transport_fixture.h"
#include "support/scripted_proxy.h"

namespace conntrace::test {
namespace {

using Kind = ScriptedProxy::Kind;
using std::chrono::milliseconds;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

class Proxies : public TransportTest {
 protected:
  [[nodiscard]] static ProxyFunction by(const std::string& url) { return fixed_proxy(parse_proxy_url(url).value()); }
  [[nodiscard]] static std::string localhost(const ScriptedServer& server, const std::string& scheme = "https") {
    return scheme + "://localhost:" + std::to_string(server.port()) + "/";
  }
  void expect_failure(const Result<Response>& result, Errc code, Phase phase) {
    ASSERT_FALSE(result);
    EXPECT_EQ(result.error().code, code) << result.error().message();
    EXPECT_EQ(result.error().phase, phase) << to_string(result.error().phase);
  }
  static constexpr const char* kTunnelled =
      "request_start get_conn why_new connect_start connect_done proxy_connect_start proxy_connect_done "
      "tls_handshake_start tls_handshake_done dial_done ";
  static constexpr const char* kEnd = "put_idle_conn body_closed request_done";
  ProxyUrl proxy_;
};

// Go: TestTransportProxy, http site, http proxy.
TEST_F(Proxies, HttpTargetsAreForwardedInAbsoluteFormOnOneConnection) {
  ScriptedProxy proxy(Kind::http);
  Client& client = use({.proxy = by(proxy.url())});
  const auto first = client.get("http://one.invalid/path?query");
  ASSERT_TRUE(first) << first.error().message();
  EXPECT_EQ(first->body, "by proxy");
  ASSERT_TRUE(client.get("http://two.invalid:81/"));
  const auto asked = proxy.asked();
  ASSERT_EQ(asked.size(), 2u);
  EXPECT_THAT(asked[0], StartsWith("GET http://one.invalid/path?query HTTP/1.1\r\nHost: one.invalid\r\n"));
  EXPECT_THAT(asked[1], StartsWith("GET http://two.invalid:81/ HTTP/1.1\r\nHost: two.invalid:81\r\n"));
  EXPECT_THAT(asked[0], Not(HasSubstr("Proxy-")));
  EXPECT_EQ(proxy.connections(), 1) << "one bucket for all targets of a proxy, as Go has it";
  EXPECT_EQ(hooks_.sequence(1),
            std::string("request_start get_conn why_new connect_start connect_done dial_done ") + kExchange + kEnd);
  EXPECT_EQ("http://" + std::string(hooks_.all<EventKind::get_conn>().at(0).host_port), proxy.url());
}

// Go: TestTransportProxy, http site, https proxy.
TEST_F(Proxies, HttpsProxyForHttpTargets) {
  ScriptedProxy proxy(Kind::https);
  Client& client = use({.tls = {.ca_file = proxy.certificate_file()}, .proxy = by(proxy.url())});
  const auto response = client.get("http://one.invalid/");
  ASSERT_TRUE(response) << response.error().message();
  EXPECT_THAT(proxy.asked().at(0), StartsWith("GET http://one.invalid/ HTTP/1.1\r\n"));
  EXPECT_TRUE(hooks_.all<EventKind::tls_handshake_done>().at(0).proxy);
}

// Go: TestTransportProxy, https site, http proxy.
TEST_F(Proxies, HttpsTargetsAreTunnelled) {
  ScriptedServer origin(answer_all, true);
  ScriptedProxy proxy(Kind::http, origin.port());
  Client& client = use({.tls = {.ca_file = origin.certificate_file()}, .proxy = by(proxy.url())});
  for (int i = 0; i < 2; ++i) {
    const auto response = client.get(localhost(origin));
    ASSERT_TRUE(response) << response.error().message();
    EXPECT_EQ(response->body, "ok");
  }
  const std::string target = "localhost:" + std::to_string(origin.port());
  EXPECT_THAT(proxy.asked(),
              ElementsAre("CONNECT " + target + " HTTP/1.1\r\nHost: " + target + "\r\nUser-Agent: conntrace\r\n\r\n"));
  EXPECT_EQ(hooks_.sequence(1), std::string(kTunnelled) + kExchange + kEnd) << "the target's name is not resolved here";
  const auto start = hooks_.all<EventKind::proxy_connect_start>().at(0);
  EXPECT_EQ(start.proxy, proxy.url());
  EXPECT_EQ(start.target, target);
  EXPECT_EQ(start.proxy_kind, ProxyKind::http);
  const auto done = hooks_.all<EventKind::proxy_connect_done>().at(0);
  EXPECT_EQ(done.status, 200);
  EXPECT_EQ(done.error, "");
  EXPECT_EQ(hooks_.all<EventKind::tls_handshake_start>().at(0).server_name, "localhost");
  EXPECT_FALSE(hooks_.all<EventKind::tls_handshake_start>().at(0).proxy);
}

// Go: TestTransportProxy, https site, https proxy.
TEST_F(Proxies, TlsWithinTlsFiresItsHooksTwice) {
  ScriptedServer origin(answer_all, true);
  ScriptedProxy proxy(Kind::https, origin.port());
  Client& client = use({.tls = {.ca_file = origin.certificate_file()},
                        .proxy_tls = TlsOptions{.ca_file = proxy.certificate_file()},
                        .proxy = by("https://localhost" + proxy.url().substr(proxy.url().rfind(':')))});
  const auto response = client.send(Request{.method = "POST", .url = origin.url(), .body = std::string(1 << 20, 'x')});
  ASSERT_TRUE(response) << response.error().message();
  EXPECT_THAT(hooks_.sequence(1),
              HasSubstr("connect_done tls_handshake_start tls_handshake_done proxy_connect_start proxy_connect_done "
                        "tls_handshake_start tls_handshake_done dial_done got_conn"));
  EXPECT_THAT(hooks_.sequence(1), HasSubstr("why_new dns_start dns_done connect_start")) << "of the proxy's name";
  const auto handshakes = hooks_.all<EventKind::tls_handshake_done>();
  ASSERT_EQ(handshakes.size(), 2u);
  EXPECT_TRUE(handshakes[0].proxy);
  EXPECT_EQ(handshakes[0].server_name, "localhost");
  EXPECT_FALSE(handshakes[1].proxy);
  EXPECT_EQ(handshakes[1].server_name, "") << "no SNI for an IP address";
  EXPECT_EQ(hooks_.all<EventKind::dns_start>().at(0).host, "localhost");
}

// Go: TestProxyAuthHeader.
TEST_F(Proxies, CredentialsOfTheProxyUrlAreSentToIt) {
  ScriptedServer origin(answer_all, true);
  ScriptedProxy proxy(Kind::http, origin.port());
  Client& client = use({.tls = {.ca_file = origin.certificate_file()}, .proxy = by(proxy.url("username:passw%40rd"))});
  ASSERT_TRUE(client.get("http://one.invalid/"));
  ASSERT_TRUE(client.get(origin.url()));
  const auto asked = proxy.asked();
  ASSERT_EQ(asked.size(), 2u);
  for (const std::string& head : asked) {
    EXPECT_THAT(head, HasSubstr("\r\nProxy-Authorization: Basic dXNlcm5hbWU6cGFzc3dAcmQ=\r\n"));
  }
  EXPECT_THAT(hooks_.dump(), Not(HasSubstr("passw")));
}

// Go: TestTransportProxyConnectHeader, TestTransportProxyGetConnectHeader, TestTransportProxyDialDoesNotMutate….
TEST_F(Proxies, ConnectHeaders) {
  ScriptedServer origin(answer_all, true);
  ScriptedProxy proxy(Kind::http, origin.port());
  Client& client = use({.tls = {.ca_file = origin.certificate_file()},
                        .proxy = by(proxy.url()),
                        .proxy_connect_header = {{"User-Agent", "foo"}, {"Other", "bar"}, {"Empty", ""}}});
  ASSERT_TRUE(client.get(origin.url()));
  const std::string head = proxy.asked().at(0);
  EXPECT_THAT(head, HasSubstr("\r\nUser-Agent: foo\r\nOther: bar\r\nEmpty:\r\n"));
  EXPECT_THAT(head, Not(HasSubstr("conntrace")));
}

TEST_F(Proxies, ConnectHeadersByFunction) {
  ScriptedServer origin(answer_all, true);
  ScriptedProxy proxy(Kind::http, origin.port());
  Client& client = use({.tls = {.ca_file = origin.certificate_file()},
                        .proxy = by(proxy.url()),
                        .proxy_connect_header = {{"Fixed", "1"}},
                        .get_proxy_connect_header = [](const ProxyUrl&, const std::string& target) -> Result<Headers> {
                          if (target == "refused.invalid:443") {
                            return Failure(make_error(Errc::invalid_request, "foo error"));
                          }
                          return Headers{{"Target", target}};
                        }});
  ASSERT_TRUE(client.get(origin.url()));
  EXPECT_THAT(proxy.asked().at(0), HasSubstr("\r\nTarget: 127.0.0.1:" + std::to_string(origin.port()) + "\r\n"));
  EXPECT_THAT(proxy.asked().at(0), Not(HasSubstr("Fixed")));
  const auto refused = client.get("https://refused.invalid/");
  ASSERT_FALSE(refused);
  EXPECT_THAT(refused.error().message(), HasSubstr("foo error"));
  EXPECT_EQ(proxy.connections(), 1);
}

TEST_F(Proxies, ConnectHeadersCannotSmuggle) {
  ScriptedProxy proxy(Kind::http);
  Client& client = use({.proxy = by(proxy.url()), .proxy_connect_header = {{"A", "b\r\nC: d"}}});
  expect_failure(client.get("https://one.invalid/"), Errc::invalid_request, Phase::none);
  EXPECT_EQ(proxy.connections(), 0);
}

TEST_F(Proxies, RefusedConnectSaysItsStatus) {
  ScriptedServer proxy([](Peer& peer, int) {
    if (peer.read_head()) peer.write("HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno");
  });
  Client& client = use({.proxy = by(proxy.url())});
  const auto result = client.get("https://one.invalid/");
  expect_failure(result, Errc::proxy_refused, Phase::proxy);
  EXPECT_THAT(result.error().message(), HasSubstr("403"));
  const auto done = hooks_.all<EventKind::proxy_connect_done>().at(0);
  EXPECT_EQ(done.status, 403);
  EXPECT_NE(done.error, "");
  EXPECT_EQ(hooks_.sequence(1),
            "request_start get_conn why_new connect_start connect_done proxy_connect_start proxy_connect_done "
            "dial_done get_conn_failed request_done");
}

TEST_F(Proxies, AuthenticationRequired) {
  ScriptedServer proxy([](Peer& peer, int) {
    while (peer.read_head()) {
      peer.write("HTTP/1.1 407 No\r\nProxy-Authenticate: Basic realm=\"x\"\r\nContent-Length: 2\r\n\r\nno");
    }
  });
  Client& client = use({.proxy = by(proxy.url())});
  const auto result = client.get("https://one.invalid/");
  expect_failure(result, Errc::proxy_refused, Phase::proxy);
  EXPECT_EQ(hooks_.all<EventKind::proxy_connect_done>().at(0).status, 407);
}

TEST_F(Proxies, ProxyClosesInsteadOfAnswering) {
  ScriptedServer proxy([](Peer& peer, int) { EXPECT_TRUE(peer.read_head()); });
  Client& client = use({.proxy = by(proxy.url())});
  const auto result = client.get("https://one.invalid/");
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().phase, Phase::proxy);
}

// Go: TestTransportProxyHTTPSConnectLeak.
TEST_F(Proxies, CancellingAHangingConnectIsSeenByTheProxyOnceNobodyWaits) {
  std::promise<void> ended;
  ScriptedServer proxy([&](Peer& peer, int) {
    EXPECT_TRUE(peer.read_head());
    peer.read_to_end();
    ended.set_value();
  });
  Client& client = use({.proxy = by(proxy.url()), .proxy_connect_timeout = milliseconds(200)});
  std::stop_source stop;
  auto trace = std::make_shared<ClientTrace>();
  trace->proxy_connect_start = [&](const HookContext&, const ProxyConnectStartInfo&) { stop.request_stop(); };
  expect_failure(client.send(Request{.url = "https://one.invalid/", .stop = stop.get_token(), .trace = trace}),
                 Errc::cancelled, Phase::proxy);
  EXPECT_EQ(ended.get_future().wait_for(std::chrono::seconds(10)), std::future_status::ready);
  // A dial outlives its request; what happens to it is told to the transport's trace alone.
  ASSERT_TRUE(hooks_.wait_for_count(EventKind::dial_done, 1));
  EXPECT_THAT(hooks_.sequence(0), HasSubstr("proxy_connect_done dial_done"));
  EXPECT_THAT(hooks_.sequence(1), Not(HasSubstr("dial_done")));
}

// Go: TestProxyWithInfiniteHeader.
TEST_F(Proxies, EndlessConnectReplyIsBounded) {
  for (const bool lines : {true, false}) {
    ScriptedServer proxy([&](Peer& peer, int) {
      if (!peer.read_head()) return;
      peer.write("HTTP/1.1 200 OK\r\n");
      const std::string piece = lines ? "A: " + std::string(1000, 'x') + "\r\n" : std::string(1000, 'x');
      for (int i = 0; i < 20'000 && hooks_.count(EventKind::request_done) == (lines ? 0 : 1); ++i) peer.write(piece);
    });
    if (lines) {
      use({.max_response_header_bytes = 100'000,
           .proxy = [&](const std::string&) -> Result<std::optional<ProxyUrl>> { return proxy_; }});
    }
    proxy_ = parse_proxy_url(proxy.url()).value();
    const auto result = client_->get("https://one.invalid/");
    ASSERT_FALSE(result);
    EXPECT_EQ(result.error().phase, Phase::proxy);
    if (lines) {
      EXPECT_EQ(result.error().code, Errc::header_too_large);
    } else {
      EXPECT_THAT(result.error().message(), HasSubstr("too large"));
    }
  }
}

TEST_F(Proxies, ConnectTimeout) {
  ScriptedServer proxy([](Peer& peer, int) { peer.read_to_end(); });
  Client& client = use({.proxy = by(proxy.url()), .proxy_connect_timeout = milliseconds(50)});
  expect_failure(client.get("https://one.invalid/"), Errc::timeout, Phase::proxy);
}

// Go: TestSOCKS5Proxy.
TEST_F(Proxies, Socks5) {
  ScriptedServer plain(answer_all);
  ScriptedProxy proxy(Kind::socks5, plain.port());
  Client& client = use({.proxy = by(proxy.url())});
  ASSERT_TRUE(client.get("http://name.invalid/"));
  ASSERT_TRUE(client.get("http://127.0.0.1:8080/"));
  ASSERT_TRUE(client.get("http://[2001:db8::1]:8080/"));
  const auto asked = proxy.asked();
  ASSERT_EQ(asked.size(), 6u);
  EXPECT_EQ(asked[0], std::string("\x05\x01\x00", 3)) << "one method: no authentication";
  EXPECT_EQ(asked[1], std::string("\x05\x01\x00\x03\x0c", 5) + "name.invalid" + std::string("\x00\x50", 2));
  EXPECT_EQ(asked[3], std::string("\x05\x01\x00\x01\x7f\x00\x00\x01\x1f\x90", 10));
  EXPECT_EQ(asked[5].substr(0, 8), std::string("\x05\x01\x00\x04\x20\x01\x0d\xb8", 8));
  EXPECT_EQ(hooks_.sequence(1),
            std::string("request_start get_conn why_new connect_start connect_done proxy_connect_start "
                        "proxy_connect_done dial_done ") +
                kExchange + kEnd);
  const auto done = hooks_.all<EventKind::proxy_connect_done>().at(0);
  EXPECT_EQ(done.proxy_kind, ProxyKind::socks5);
  EXPECT_EQ(done.target, "name.invalid:80");
  EXPECT_EQ(hooks_.count(EventKind::dns_start), 0u);
}

TEST_F(Proxies, Socks5WithTlsAndPassword) {
  ScriptedServer origin(answer_all, true);
  ScriptedProxy proxy(Kind::socks5, origin.port());
  Client& client = use({.tls = {.ca_file = origin.certificate_file()}, .proxy = by(proxy.url("me:mine"))});
  const auto response = client.get(localhost(origin));
  ASSERT_TRUE(response) << response.error().message();
  const auto asked = proxy.asked();
  ASSERT_EQ(asked.size(), 3u);
  EXPECT_EQ(asked[1], std::string("\x01\x02me\x04mine", 9));
  EXPECT_EQ(hooks_.sequence(1), std::string(kTunnelled) + kExchange + kEnd);
}

TEST_F(Proxies, Socks5Refuses) {
  ScriptedProxy proxy(Kind::socks5);
  Client& client = use({.proxy = by(proxy.url())});
  expect_failure(client.get("http://name.invalid/"), Errc::proxy_refused, Phase::proxy);
  EXPECT_EQ(hooks_.all<EventKind::proxy_connect_done>().at(0).status, 5) << "connection refused";
}

// Go: TestRoundTripReturnsProxyError.
TEST_F(Proxies, AnErrorOfTheProxyFunctionIsTheRequests) {
  Client& client = use({.proxy = [](const std::string&) -> Result<std::optional<ProxyUrl>> {
    return Failure(make_error(Errc::invalid_request, "badProxy"));
  }});
  const auto result = client.get("http://one.invalid/");
  expect_failure(result, Errc::invalid_request, Phase::none);
  EXPECT_THAT(result.error().message(), HasSubstr("badProxy"));
  EXPECT_EQ(hooks_.count(EventKind::get_conn), 0u);
}

TEST_F(Proxies, ConnectionsBelongToTheirProxy) {
  ScriptedProxy one(Kind::http);
  ScriptedProxy two(Kind::http);
  std::atomic<bool> other = false;
  Client& client = use({.proxy = [&](const std::string&) -> Result<std::optional<ProxyUrl>> {
    return parse_proxy_url(other ? two.url() : one.url()).value();
  }});
  ASSERT_TRUE(client.get("http://h.invalid/"));
  other = true;
  ASSERT_TRUE(client.get("http://h.invalid/")) << "asked for each request";
  EXPECT_EQ(one.connections(), 1);
  EXPECT_EQ(two.connections(), 1);
}

}  // namespace
}  // namespace conntrace::test
