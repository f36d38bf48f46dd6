// SPDX-License-Identifier: Apache-2.0
// Servers that others wrote: nginx, haproxy, nghttpd. Without one of them it says so and exits with 77.
#include <gmock/gmock.h>

#include <cstdio>
#include <thread>
#include <utility>

#include "conntrace/body_source.h"
#include "integration/transport_fixture.h"
#include "support/deadline.h"
#include "support/nginx.h"

namespace conntrace::test {
namespace {

using std::chrono::milliseconds;
using ::testing::HasSubstr;

class ServerPeers : public TransportTest {};

/// Promises a megabyte and stops after a few bytes: only an early answer ends its upload.
class HaltingSource : public BodySource {
 public:
  [[nodiscard]] std::optional<std::uint64_t> size() const override { return 1 << 20; }
  [[nodiscard]] Result<Piece> read(char* into, std::size_t) override {
    if (std::exchange(halted_, true)) return Piece{.status = Status::later};
    *into = 'u';
    return Piece{.status = Status::data, .bytes = 1};
  }

 private:
  bool halted_ = false;
};

class NginxPeer : public ServerPeers {
 protected:
  void TearDown() override {
    ServerPeers::TearDown();
    if (HasFailure()) std::cerr << nginx_.log();
  }

  /// Every request of ours is in its log, on the connection that our hooks say, as the request of that connection that
  /// they say; and nothing else is there.
  void expect_same_connections(std::size_t requests) {
    ASSERT_TRUE(testing::eventually([&] { return nginx_.visits().size() >= requests; }));
    const auto visits = nginx_.visits();
    EXPECT_EQ(visits.size(), requests);
    std::map<RequestId, std::string> uris;
    std::map<RequestId, int> statuses;
    std::map<std::uint64_t, std::uint64_t> theirs;
    std::map<std::uint64_t, std::uint64_t> ours;
    for (const Event& event : hooks_.events()) {
      const RequestId request = event.header.request;
      if (const auto* start = get_if<EventKind::request_start>(event)) {
        const std::string url(start->url);
        uris[request] = url.substr(url.find('/', url.find("//") + 2));
      } else if (const auto* head = get_if<EventKind::response_head>(event)) {
        EXPECT_EQ(visits.at(uris[request]).status, head->status);
      } else if (const auto* got = get_if<EventKind::got_conn>(event)) {
        const Nginx::Visit& visit = visits.at(uris[request]);
        EXPECT_EQ(got->requests_before + 1, visit.number) << uris[request];
        EXPECT_EQ(got->reused, visit.number > 1) << uris[request];
        const auto [entry, first] = theirs.emplace(event.header.connection, visit.connection);
        EXPECT_EQ(entry->second, visit.connection) << uris[request];
        EXPECT_EQ(ours.emplace(visit.connection, event.header.connection).first->second, event.header.connection);
      }
    }
    EXPECT_EQ(uris.size(), requests);
    EXPECT_EQ(hooks_.count(EventKind::retry), 0u) << "each attempt would be a visit of its own";
  }

  Nginx nginx_;
};

TEST_F(NginxPeer, ItsLogTellsTheSameConnections) {
  Client& client = use({.max_idle_conns_per_host = 3, .max_conns_per_host = 3});
  constexpr int kThreads = 4;
  constexpr int kEach = 20;
  std::vector<std::thread> threads;
  for (int i = 0; i < kThreads; ++i) {
    threads.emplace_back([&, i] {
      for (int n = 0; n < kEach; ++n) {
        static constexpr const char* kFolders[] = {"/few/", "/never/", "/", "/announced/"};
        const std::string path = kFolders[n % 4] + std::to_string(i) + "-" + std::to_string(n);
        const auto response = client.get(nginx_.url(path));
        ASSERT_TRUE(response) << response.error().message();
        EXPECT_EQ(response->status, 200);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  expect_same_connections(kThreads * kEach);
}

TEST_F(NginxPeer, LastRequestOfAConnectionSaysClose) {
  Client& client = use();
  for (int i = 0; i < 7; ++i) {
    const auto response = client.get(nginx_.url("/few/" + std::to_string(i)));
    ASSERT_TRUE(response) << response.error().message();
  }
  expect_same_connections(7);
  const auto got = hooks_.all<EventKind::got_conn>();
  std::vector<std::uint64_t> before;
  for (const auto& info : got) before.push_back(info.requests_before);
  EXPECT_THAT(before, ::testing::ElementsAre(0, 1, 2, 0, 1, 2, 0));
  ASSERT_TRUE(hooks_.wait_for_count(EventKind::conn_closed, 2));
  for (const auto& end : hooks_.all<EventKind::conn_closed>()) {
    EXPECT_EQ(end.reason, CloseReason::connection_close_response);
    EXPECT_EQ(end.requests, 3u);
  }
}

TEST_F(NginxPeer, KeepAliveTimeoutEndsAnIdleConnection) {
  Client& client = use();
  ASSERT_TRUE(client.get(nginx_.url("/brief/")));
  const ConnClosedInfo end = closed();
  EXPECT_EQ(end.reason, CloseReason::server_closed_idle);
  EXPECT_EQ(end.by, ClosedBy::peer);
  EXPECT_FALSE(end.inferred);
  EXPECT_TRUE(end.idle_ns);
  ASSERT_TRUE(client.get(nginx_.url("/brief/again")));
  EXPECT_EQ(hooks_.all<EventKind::why_new>().at(1).reason, WhyNew::idle_dead);
}

TEST_F(NginxPeer, AnnouncedTimeoutIsNotUsedUpToItsEnd) {
  Client& client = use();
  ASSERT_TRUE(client.get(nginx_.url("/announced/")));
  const ConnClosedInfo end = closed();
  EXPECT_EQ(end.reason, CloseReason::keep_alive_timeout) << "Keep-Alive: timeout=2";
  EXPECT_EQ(end.by, ClosedBy::local);
}

TEST_F(NginxPeer, CompressedAndChunked) {
  Client& client = use();
  const auto response = client.get(nginx_.url("/large.txt"));
  ASSERT_TRUE(response) << response.error().message();
  EXPECT_TRUE(response->uncompressed);
  EXPECT_EQ(response->body, std::string(200'000, 'x'));
  EXPECT_FALSE(hooks_.all<EventKind::response_head>().at(0).content_length) << "it does not know it yet";
  EXPECT_LT(hooks_.all<EventKind::body_done>().at(0).bytes, 20'000u) << "on the wire";
  const auto plain = client.send(Request{.url = nginx_.url("/range/large.txt"), .headers = {{"Range", "bytes=0-9"}}});
  ASSERT_TRUE(plain) << plain.error().message();
  EXPECT_EQ(plain->status, 206);
  EXPECT_EQ(plain->body, "xxxxxxxxxx");
  expect_same_connections(2);
}

TEST_F(NginxPeer, AnswersBeforeTheUploadEnds) {
  Client& client = use();
  const auto response = client.send(
      Request{.method = "POST", .url = nginx_.url("/small/"), .body_source = std::make_shared<HaltingSource>()});
  ASSERT_TRUE(response) << response.error().message();
  EXPECT_EQ(response->status, 413);
  EXPECT_EQ(close_reason(), CloseReason::request_not_sent);
  EXPECT_NE(hooks_.all<EventKind::wrote_request>().at(0).error, "");
  ASSERT_TRUE(client.get(nginx_.url("/small/2")));
  EXPECT_FALSE(hooks_.all<EventKind::got_conn>().at(1).reused);
}

TEST_F(NginxPeer, RefusesAnUploadThatAskedFirst) {
  Client& client = use({.expect_continue_timeout = std::chrono::hours(1)});
  const auto response = client.send(Request{.method = "PUT",
                                            .url = nginx_.url("/small/"),
                                            .headers = {{"Expect", "100-continue"}},
                                            .body = std::string(100'000, 'u')});
  ASSERT_TRUE(response) << response.error().message();
  EXPECT_EQ(response->status, 413);
  EXPECT_EQ(hooks_.count(EventKind::got_100_continue), 0u);
  EXPECT_LT(closed().bytes_sent, 1000u) << "the head only";
}

TEST_F(NginxPeer, ClosesWithoutAWord) {
  Client& client = use();
  const auto fresh = client.get(nginx_.url("/dropped/1"));
  ASSERT_FALSE(fresh);
  EXPECT_EQ(fresh.error().code, Errc::closed_before_response);
  EXPECT_EQ(closed().by, ClosedBy::peer);
  ASSERT_TRUE(client.get(nginx_.url("/")));
  ASSERT_FALSE(client.get(nginx_.url("/dropped/2")));
  EXPECT_EQ(hooks_.count(EventKind::retry), 1u) << "on the reused connection it might have been stale";
}

TEST_F(NginxPeer, TlsSessionsAndConnections) {
  Client& client = use({.tls = {.ca_file = nginx_.certificate_file()}});
  for (int i = 0; i < 7; ++i) {
    const auto response = client.get(nginx_.secure_url("/few/" + std::to_string(i)));
    ASSERT_TRUE(response) << response.error().message();
  }
  expect_same_connections(7);
  const auto visits = nginx_.visits();
  const auto handshakes = hooks_.all<EventKind::tls_handshake_done>();
  ASSERT_EQ(handshakes.size(), 3u);
  EXPECT_FALSE(handshakes[0].resumed);
  for (std::size_t i = 0; i < 3; ++i) {
    EXPECT_EQ(handshakes[i].resumed, visits.at("/few/" + std::to_string(3 * i)).session_reused) << i;
  }
  EXPECT_TRUE(handshakes[2].resumed);
}

TEST_F(ServerPeers, HaproxyClosesWhatIsIdle) {
  const ReservedPort port;
  const TemporaryFile configuration(
      "defaults\n  mode http\n  timeout client 5s\n  timeout server 5s\n  timeout connect 5s\n"
      "  timeout http-keep-alive 2s\n  timeout http-request 5s\nfrontend f\n  bind 127.0.0.1:" +
      std::to_string(port.port()) + "\n  http-request return status 200 content-type text/plain string fine\n");
  const PeerProcess haproxy({find_program("haproxy"), "-db", "-f", configuration.path()}, port.port());
  Client& client = use();
  for (int i = 0; i < 2; ++i) {
    const auto response = client.get(port.url());
    ASSERT_TRUE(response) << response.error().message() << haproxy.log();
    EXPECT_EQ(response->body, "fine");
    ASSERT_TRUE(hooks_.wait_for_count(EventKind::conn_closed, static_cast<std::size_t>(i) + 1)) << "haproxy closes it";
  }
  for (const auto& end : hooks_.all<EventKind::conn_closed>()) {
    EXPECT_EQ(end.reason, CloseReason::server_closed_idle);
    EXPECT_EQ(end.by, ClosedBy::peer);
    EXPECT_EQ(end.requests, 1u);
    EXPECT_TRUE(end.idle_ns);
  }
  EXPECT_EQ(hooks_.count(EventKind::retry), 0u);
}

/// It speaks HTTP/2 only: on a plain port from its first byte, over TLS to whoever asks for it by ALPN.
class Nghttpd {
 public:
  explicit Nghttpd(bool tls) : process_(command(tls), port_.port()) {}
  [[nodiscard]] std::string url(const std::string& scheme) const {
    return scheme + "://127.0.0.1:" + std::to_string(port_.port()) + "/";
  }

 private:
  std::vector<std::string> command(bool tls) const {
    std::vector<std::string> words = {find_program("nghttpd"), "--address=127.0.0.1", "-d", folder_.path()};
    if (!tls) words.emplace_back("--no-tls");
    words.push_back(std::to_string(port_.port()));
    if (!tls) return words;
    const Identity identity = make_identity();
    words.push_back(folder_.write("key.pem", identity.key));
    words.push_back(folder_.write("certificate.pem", identity.certificate));
    return words;
  }

  const ReservedPort port_;
  TemporaryFolder folder_;
  PeerProcess process_;
};

TEST_F(ServerPeers, NghttpdSpeaksHttp2Only) {
  const Nghttpd plain(false);
  Client& client = use({.tls = {.verify = false}});
  const auto first = client.get(plain.url("http"));
  ASSERT_FALSE(first);
  EXPECT_EQ(first.error().code, Errc::not_http1);
  EXPECT_THAT(first.error().message(), HasSubstr("the server spoke HTTP/2: its first bytes are a SETTINGS frame"));
  EXPECT_EQ(close_reason(), CloseReason::protocol_error);
  const Nghttpd secure(true);
  const auto second = client.get(secure.url("https"));
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().code, Errc::closed_before_response) << "it hangs up on who did not ask for h2";
  EXPECT_THAT(second.error().message(), HasSubstr("http/1.1 was offered by ALPN, the server chose nothing"));
  EXPECT_EQ(hooks_.all<EventKind::tls_handshake_done>().at(0).alpn, "");
  EXPECT_EQ(hooks_.all<EventKind::tls_handshake_done>().at(0).error, "");
}

}  // namespace
}  // namespace conntrace::test

int main(int argc, char** argv) {
  ::testing::InitGoogleTest(&argc, argv);
  for (const char* name : {"nginx", "haproxy", "nghttpd"}) {
    if (!conntrace::test::find_program(name).empty()) continue;
    std::fprintf(stderr, "real servers cannot be tested here: %s is not installed\n", name);
    return 77;
  }
  return RUN_ALL_TESTS();
}
