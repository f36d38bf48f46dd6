// SPDX-License-Identifier: Apache-2.0
// Go's tests of proxies, TLS and httptrace that no other file here asks of this client (docs/go-behaviours.md, 75 and
// 94 to 115).
#include <gmock/gmock.h>

#include <cstdlib>

#include "conntrace/proxy_environment.h"
#include "integration/go_fixture.h"
#include "support/scripted_proxy.h"

namespace conntrace::test {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

class GoProxies : public GoTest {};

TEST_F(GoProxies, MissingStatusNoPanic) {
  for (const char* reply : {"HTTP/1.1 400\r\n\r\n", "HTTP/1.1\r\n\r\n", "HTTP/1.1 \r\n\r\n"}) {
    ScriptedServer proxy([reply](Peer& peer, int) {
      if (peer.read_head()) peer.write(reply);
    });
    Client client(std::make_shared<Transport>(TransportOptions{
        .proxy = fixed_proxy(parse_proxy_url("http://127.0.0.1:" + std::to_string(proxy.port())).value())}));
    const auto tunnel = client.get("https://dummy.invalid/");
    ASSERT_FALSE(tunnel) << reply;
    EXPECT_EQ(tunnel.error().phase, Phase::proxy) << tunnel.error().message();
    if (std::string(reply).find("400") != std::string::npos) {
      EXPECT_THAT(tunnel.error().message(), HasSubstr("status 400"));
    }
    // Without a tunnel the proxy's reply is the response.
    const auto forwarded = client.get("http://dummy.invalid/");
    EXPECT_EQ(forwarded.has_value(), std::string(reply) == "HTTP/1.1 400\r\n\r\n") << reply;
  }
}

TEST_F(GoProxies, ProxyFromEnvironment) {
  // Before anything here has a thread.
  setenv("http_proxy", "http://127.0.0.1:1", 1);
  setenv("HTTP_PROXY", "http://127.0.0.1:1", 1);
  for (const char* name : {"NO_PROXY", "no_proxy", "REQUEST_METHOD"}) unsetenv(name);
  const ProxyFunction from_environment = proxy_from_environment();
  const auto chosen = from_environment("http://one.invalid/");
  unsetenv("http_proxy");
  ASSERT_TRUE(chosen && *chosen);
  EXPECT_EQ((*chosen)->text(), "http://127.0.0.1:1");

  ScriptedServer server(answer_all);
  EXPECT_TRUE(use().get(server.url())) << "a transport that was not told to reads no environment";
  unsetenv("HTTP_PROXY");

  ScriptedProxy proxy(ScriptedProxy::Kind::http);
  Client client(std::make_shared<Transport>(
      TransportOptions{.proxy = proxy_from({.http_proxy = proxy.url(), .no_proxy = "direct.invalid"})}));
  EXPECT_TRUE(client.get("http://one.invalid/"));
  EXPECT_FALSE(client.get("http://direct.invalid/"));
  EXPECT_TRUE(client.get(server.url())) << "loopback is never proxied";
  EXPECT_EQ(proxy.asked().size(), 1u);
}

class GoTrace : public GoTest {
 protected:
  /// How often each hook ran, of those that Go has, in the order of the first calls.
  [[nodiscard]] std::vector<std::string> counts(RequestId request) const {
    std::vector<std::string> all;
    for (const Event& event : hooks_.events()) {
      if (event.header.request != request) continue;
      const std::string name(to_string(event.kind()));
      auto found =
          std::find_if(all.begin(), all.end(), [&](const auto& other) { return other.starts_with(name + "="); });
      if (found == all.end()) {
        all.push_back(name + "=1");
      } else {
        *found = name + "=" + std::to_string(std::stoi(found->substr(name.size() + 1)) + 1);
      }
    }
    return all;
  }
};

TEST_F(GoTrace, TransportEventTrace) {
  ScriptedServer server([](Peer& peer, int) {
    while (const auto head = peer.read_head()) {
      if (head->starts_with("POST")) {
        peer.write("HTTP/1.1 100 Continue\r\n\r\n");
        EXPECT_EQ(peer.read_bytes(4), "body");
      }
      peer.respond();
    }
  });
  const std::string host = "localhost:" + std::to_string(server.port());
  Client& client = use({.expect_continue_timeout = std::chrono::hours(1)});
  ASSERT_TRUE(client.send(Request{.method = "POST",
                                  .url = "http://" + host + "/",
                                  .headers = {{"Expect", "100-continue"}, {"X-Foo-Multiple-Vals", "bar"}},
                                  .body = "body"}));
  const auto first = counts(1);
  for (const char* name :
       {"request_start", "get_conn", "why_new", "dns_start", "dns_done", "dial_done", "got_conn", "wrote_headers",
        "wait_100_continue", "got_first_response_byte", "got_100_continue", "got_1xx_response", "wrote_request",
        "response_head", "body_done", "put_idle_conn", "body_closed", "request_done"}) {
    EXPECT_THAT(first, ::testing::Contains(std::string(name) + "=1"));
  }
  const auto starts = hooks_.count(EventKind::connect_start);  // two if localhost is ::1, too
  EXPECT_GE(starts, 1u);
  EXPECT_EQ(hooks_.count(EventKind::connect_done), starts);
  EXPECT_EQ(hooks_.all<EventKind::get_conn>().at(0).host_port, host);
  EXPECT_EQ(hooks_.all<EventKind::dns_start>().at(0).host, "localhost");
  EXPECT_EQ(hooks_.all<EventKind::dns_done>().at(0).error, "");
  const std::string remote(hooks_.all<EventKind::got_conn>().at(0).remote);
  bool connected = false;
  for (const auto& done : hooks_.all<EventKind::connect_done>()) {
    EXPECT_THAT(std::string(done.address), HasSubstr(":" + std::to_string(server.port()))) << "no name server's";
    connected = connected || (done.address == remote && done.outcome == ConnectOutcome::connected);
  }
  EXPECT_TRUE(connected);
  std::vector<std::string> fields;
  for (const auto& field : hooks_.all<EventKind::wrote_header_field>(1)) {
    fields.push_back(std::string(field.key) + ": " + std::string(field.values[0]));
  }
  EXPECT_THAT(fields, ::testing::IsSupersetOf({std::string("Host: " + host), std::string("X-Foo-Multiple-Vals: bar"),
                                               std::string("Content-Length: 4"), std::string("Expect: 100-continue")}));

  ASSERT_TRUE(client.get("http://" + host + "/"));
  EXPECT_EQ(hooks_.count(EventKind::get_conn), 2u);
  EXPECT_EQ(hooks_.count(EventKind::dns_start), 1u);
  EXPECT_EQ(hooks_.count(EventKind::connect_start), starts);
  EXPECT_TRUE(hooks_.all<EventKind::got_conn>(2).at(0).was_idle);
}

TEST_F(GoTrace, TransportEventTraceNoHooks) {
  ScriptedServer server(answer_all);
  Client client(std::make_shared<Transport>());
  EXPECT_TRUE(client.send(Request{.url = server.url(), .trace = std::make_shared<ClientTrace>()}));
}

TEST_F(GoTrace, WithClientTrace) {
  ScriptedServer server(answer_all);
  std::vector<std::string> order;
  const auto naming = [&](const std::string& name) {
    ClientTrace trace;
    trace.got_conn = [&order, name](const HookContext&, const GotConnInfo&) { order.push_back(name); };
    return trace;
  };
  const ClientTrace older = naming("older");
  ClientTrace newer = naming("newer");
  newer.get_conn = [&](const HookContext&, const GetConnInfo&) { order.push_back("get_conn"); };
  TransportOptions options;
  options.trace = std::make_shared<ClientTrace>(naming("transport"));
  Client client(std::make_shared<Transport>(options));
  ASSERT_TRUE(client.send(Request{.url = server.url(), .trace = std::make_shared<ClientTrace>(compose(newer, older))}));
  EXPECT_THAT(order, ElementsAre("get_conn", "newer", "older", "transport"));
}

}  // namespace
}  // namespace conntrace::test
