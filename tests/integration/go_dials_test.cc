// SPDX-License-Identifier: Apache-2.0
// Go's tests of dial functions, asked of this client (docs/go-behaviours.md, 43, 51, 105).
#include <unistd.h>

#include <future>
#include <thread>

#include "integration/dial_fixture.h"

namespace conntrace::test {
namespace {

using GoDials = DialFunctionTest;

TEST_F(GoDials, TransportDialContext) {
  ScriptedServer server(answer_all);
  Client& client = use({.dial = keep()});
  auto first = client.send_async(Request{.url = "http://nowhere.invalid:1234/"});
  const Asked asked = next_asked();
  EXPECT_EQ(asked.request.host, "nowhere.invalid");
  EXPECT_EQ(asked.request.port, 1234);
  EXPECT_EQ(asked.request.connection, 1u);
  EXPECT_FALSE(asked.request.tls);
  asked.done(DialledSocket{.fd = connect_to(server.port())});
  ASSERT_TRUE(first.get());
  EXPECT_EQ(hooks_.sequence(1), std::string("request_start get_conn why_new connect_start connect_done dial_done ") +
                                    kExchange + "put_idle_conn body_closed request_done");
  const auto start = hooks_.all<EventKind::connect_start>().at(0);
  EXPECT_EQ(start.network, "dial");
  EXPECT_EQ(start.address, "nowhere.invalid:1234");
  EXPECT_EQ(start.fd, -1);
  const auto done = hooks_.all<EventKind::connect_done>().at(0);
  EXPECT_EQ(done.address, start.address);
  EXPECT_EQ(done.outcome, ConnectOutcome::connected);
  const auto got = hooks_.all<EventKind::got_conn>().at(0);
  EXPECT_EQ(got.remote, "127.0.0.1:" + std::to_string(server.port()));
  EXPECT_EQ(got.local, done.local);
  const auto dial = hooks_.all<EventKind::dial_done>().at(0);
  EXPECT_EQ(dial.attempts, 1u);
  EXPECT_EQ(dial.attempts_failed, 0u);
  EXPECT_NE(hooks_.events().back().header.cookie, 0u);
  ASSERT_TRUE(client.get("http://nowhere.invalid:1234/")) << "reused";
  EXPECT_EQ(server.connections(), 1);
  EXPECT_FALSE(asked.request.stop.stop_requested());
}

// The function makes the way, the transport does TLS: Go's DialContext with an https URL.
TEST_F(GoDials, TransportDialContextThenTLS) {
  ScriptedServer server(answer_all, true);
  Client& client = use({.dial = to_port(server.port()), .tls = {.ca_file = server.certificate_file()}});
  const auto response = client.get("https://localhost:9/");
  ASSERT_TRUE(response) << response.error().message();
  EXPECT_EQ(hooks_.sequence(1),
            std::string("request_start get_conn why_new connect_start connect_done tls_handshake_start "
                        "tls_handshake_done dial_done ") +
                kExchange + "put_idle_conn body_closed request_done");
  EXPECT_EQ(hooks_.all<EventKind::tls_handshake_done>().at(0).alpn, "http/1.1");
  EXPECT_EQ(hooks_.all<EventKind::got_conn>().at(0).remote, "127.0.0.1:" + std::to_string(server.port()));
  EXPECT_EQ(hooks_.all<EventKind::dial_done>().at(0).attempts, 1u);
  ASSERT_TRUE(client.get("https://localhost:9/"));
  EXPECT_EQ(server.connections(), 1);
  // An address that leads nowhere is not looked at either; the certificate is for another name.
  const auto other = client.get("https://[2001:db8::1]:443/");
  ASSERT_FALSE(other);
  EXPECT_EQ(other.error().phase, Phase::tls);
  EXPECT_EQ(server.connections(), 2);
}

// TLS is the application's: what it gives is one end of a socketpair.
TEST_F(GoDials, TransportDialTLSContext) {
  auto ends = make_pair();
  const std::jthread other([fd = std::move(ends[1])]() mutable {
    Peer peer(std::move(fd), nullptr);
    answer_all(peer, 0);
  });
  bool tls = false;
  Client& client = use({.dial = [&](const DialRequest& request, const DialCompletion& done) {
    tls = request.tls;
    done(DialledSocket{.fd = std::move(ends[0]), .tls_done = true});
  }});
  for (int i = 0; i < 2; ++i) {
    const auto response = client.get("https://secure.invalid/");
    ASSERT_TRUE(response) << response.error().message();
  }
  EXPECT_TRUE(tls);
  EXPECT_EQ(hooks_.count(EventKind::tls_handshake_start), 0u);
  EXPECT_EQ(hooks_.all<EventKind::got_conn>().at(0).remote, "") << "it has no name";
  transport_->close_idle_connections();
  EXPECT_EQ(closed().by, ClosedBy::local);
}

TEST_F(GoDials, ClientPropagatesTimeoutToContext) {
  Client& client = use({.dial_timeout = std::chrono::seconds(5), .dial = keep()});
  const MonoTime before = mono_now();
  auto result = client.send_async(Request{.url = "http://nowhere.invalid/"});
  const Asked asked = next_asked();
  EXPECT_GE(asked.request.deadline, before + std::chrono::seconds(5));
  EXPECT_LE(asked.request.deadline, mono_now() + std::chrono::seconds(5));
  asked.done(Failure(make_error(Errc::cancelled, "not actually dialling")));
  const auto ended = result.get();
  expect_dial_error(ended, Errc::cancelled);
  EXPECT_EQ(ended.error().context, "dial function for nowhere.invalid:80: not actually dialling");
}

// Who made the socket can end it at a time of its own: Go's deadline on the connection.
TEST_F(GoDials, Issue4191InfiniteGetTimeout) {
  std::promise<void> told;
  ScriptedServer server([ready = told.get_future().share()](Peer& peer, int) {
    ASSERT_TRUE(peer.read_head());
    peer.write("HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\nendless");
    ready.wait();
  });
  UniqueFd kept;
  Client& client = use({.dial = [&](const DialRequest&, const DialCompletion& done) {
    UniqueFd fd = connect_to(server.port());
    kept.reset(dup(fd.get()));
    done(DialledSocket{.fd = std::move(fd)});
  }});
  auto opened = client.open({.url = "http://nowhere.invalid/"});
  ASSERT_TRUE(opened);
  char bytes[64];
  ASSERT_TRUE(opened->body.read(bytes, sizeof bytes));
  shutdown(kept.get(), SHUT_RDWR);
  const auto rest = opened->body.read(bytes, sizeof bytes);
  ASSERT_FALSE(rest);
  EXPECT_EQ(rest.error().phase, Phase::receive);
  EXPECT_EQ(closed().by, ClosedBy::local);
  told.set_value();
}

}  // namespace
}  // namespace conntrace::test
