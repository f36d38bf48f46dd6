// SPDX-License-Identifier: Apache-2.0
// Which side's end came first (conn_closed.by), where that is not plain to see.
#include <unistd.h>

#include <future>

#include "conntrace/pipe_body.h"
#include "integration/dial_fixture.h"
#include "support/deadline.h"
#include "support/unix_server.h"

namespace conntrace::test {
namespace {

class ClosedFirst : public DialFunctionTest {
 protected:
  static Request upgrade(const std::string& url, std::shared_ptr<BodySource> source) {
    return {.url = url, .headers = {{"Connection", "Upgrade"}, {"Upgrade", "echo"}}, .body_source = std::move(source)};
  }
};

class ClosedFirstOver : public ClosedFirst, public ::testing::WithParamInterface<bool> {};
INSTANTIATE_TEST_SUITE_P(Tcp, ClosedFirstOver, ::testing::Values(false));
INSTANTIATE_TEST_SUITE_P(Tls, ClosedFirstOver, ::testing::Values(true));

constexpr const char* kSwitch = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n";

// A reset that answers our FIN leaves no state. Over TLS our close_notify comes before our FIN, and what it provokes
// may come between them.
TEST_P(ClosedFirstOver, ServerThatAnswersOurEndAtOnce) {
  constexpr std::size_t kTimes = 40;
  ScriptedServer server(
      [](Peer& peer, int) {
        if (!peer.read_head()) return;
        peer.respond();
        while (!peer.readable({})) {
        }
        peer.reset();
      },
      GetParam());
  TransportOptions options;
  options.tls.ca_file = server.certificate_file();
  Client& client = use(options);
  for (std::size_t i = 1; i <= kTimes; ++i) {
    ASSERT_TRUE(client.get(server.url()));
    transport_->close_idle_connections();
    ASSERT_TRUE(hooks_.wait_for_count(EventKind::conn_closed, i));
  }
  for (const auto& end : hooks_.all<EventKind::conn_closed>()) EXPECT_EQ(end.by, ClosedBy::local);
}

TEST_P(ClosedFirstOver, ServerThatResetsFirst) {
  ScriptedServer server(
      [&](Peer& peer, int) {
        if (peer.read_head()) peer.respond();
        if (hooks_.wait_for_count(EventKind::request_done, 1)) peer.reset();
      },
      GetParam());
  TransportOptions options;
  options.tls.ca_file = server.certificate_file();
  ASSERT_TRUE(use(options).get(server.url()));
  EXPECT_EQ(closed().by, ClosedBy::peer);
}

TEST_F(ClosedFirst, TlsServerThatEndsFirst) {
  ScriptedServer server(
      [](Peer& peer, int) {
        if (peer.read_head()) peer.respond();
        peer.close();
      },
      true);
  Client& client = use({.tls = {.ca_file = server.certificate_file()}});
  ASSERT_TRUE(client.get(server.url()));
  EXPECT_EQ(closed().by, ClosedBy::peer);
  EXPECT_FALSE(closed().by_inferred);
}

TEST_F(ClosedFirst, ApplicationShutsDownItsDuplicate) {
  std::promise<void> told;
  ScriptedServer server([ready = told.get_future().share()](Peer& peer, int) {
    if (peer.read_head()) peer.respond();
    peer.read_to_end();
    ready.wait();
  });
  UniqueFd kept;
  Client& client = use({.dial = [&](const DialRequest&, const DialCompletion& done) {
    UniqueFd fd = connect_to(server.port());
    kept.reset(dup(fd.get()));
    done(DialledSocket{.fd = std::move(fd)});
  }});
  ASSERT_TRUE(client.get("http://nowhere.invalid/"));
  ASSERT_TRUE(conntrace::testing::eventually([&] { return transport_->pool_snapshot().idle == 1; }));
  shutdown(kept.get(), SHUT_RDWR);
  EXPECT_EQ(closed().by, ClosedBy::local);
  told.set_value();
}

TEST_F(ClosedFirst, HalfCloseOnAUnixSocket) {
  UnixServer server([](Peer& peer, int) {
    EXPECT_TRUE(peer.read_head());
    peer.write(kSwitch);
    peer.read_to_end();
  });
  auto pipe = std::make_shared<PipeBody>();
  auto opened = use({.dial = dial_unix(server.path())}).open(upgrade("http://localhost/", pipe));
  ASSERT_TRUE(opened) << opened.error().message();
  pipe->finish();
  ASSERT_TRUE(opened->body.read_all());
  EXPECT_EQ(closed().by, ClosedBy::local);
}

TEST_F(ClosedFirst, UnixSocketThatIsHeldElsewhere) {
  std::promise<void> ended;
  UnixServer server([&](Peer& peer, int connection) {
    answer_all(peer, connection);
    ended.set_value();
  });
  UniqueFd kept;
  Client& client = use({.dial = [&](const DialRequest& request, const DialCompletion& done) {
    dial_unix(server.path())(request, [&](Result<DialledSocket> result) {
      kept.reset(dup(result->fd.get()));
      done(std::move(result));
    });
  }});
  ASSERT_TRUE(client.get("http://localhost/"));
  transport_->close_idle_connections();
  EXPECT_EQ(closed().by, ClosedBy::local);
  EXPECT_EQ(ended.get_future().wait_for(conntrace::testing::kDeadline), std::future_status::ready)
      << "the server must see the end";
}

TEST_F(ClosedFirst, HalfCloseThenReset) {
  ScriptedServer server([](Peer& peer, int) {
    EXPECT_TRUE(peer.read_head());
    peer.write(kSwitch);
    peer.read_to_end();
    peer.reset();
  });
  auto pipe = std::make_shared<PipeBody>();
  auto opened = use().open(upgrade(server.url(), pipe));
  ASSERT_TRUE(opened) << opened.error().message();
  pipe->finish();
  ASSERT_FALSE(opened->body.read_all()) << "reset";
  EXPECT_EQ(closed().by, ClosedBy::local);
}

}  // namespace
}  // namespace conntrace::test
