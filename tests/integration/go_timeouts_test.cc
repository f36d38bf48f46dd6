// SPDX-License-Identifier: Apache-2.0
// Go's tests of timeouts and cancellation, asked of this client (docs/go-behaviours.md, 39 to 51).
#include <gmock/gmock.h>

#include <atomic>
#include <latch>
#include <random>
#include <thread>

#include "conntrace/body_source.h"
#include "conntrace/pipe_body.h"
#include "integration/go_fixture.h"
#include "support/deadline.h"
#include "support/deaf_listener.h"
#include "support/sanitized.h"

namespace conntrace::test {
namespace {

using conntrace::testing::eventually;
using std::chrono::milliseconds;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

class GoTimeouts : public GoTest {
 protected:
  /// No request is under way and no connection in use: Go's NumPendingRequestsForTesting() == 0.
  void expect_nothing_pending() {
    const PoolSnapshot pool = transport_->pool_snapshot();
    EXPECT_EQ(pool.active, 0u);
    EXPECT_EQ(pool.waiting, 0u);
    EXPECT_EQ(hooks_.count(EventKind::request_start), hooks_.count(EventKind::request_done));
  }
};

/// Reads what comes, answers nothing and says when the client has ended.
class Silent {
 public:
  explicit Silent(std::string first = {}) : first_(std::move(first)) {}
  [[nodiscard]] std::string url() const { return server_.url(); }
  [[nodiscard]] bool client_ended() const {
    return eventually([&] { return ended_ > 0; });
  }

 private:
  const std::string first_;
  std::atomic<int> ended_ = 0;
  ScriptedServer server_{[this](Peer& peer, int) {
    if (!peer.read_head()) return;
    peer.write(first_);
    peer.read_to_end();
    ++ended_;
  }};
};

/// A limit that a server which does answer keeps.
constexpr milliseconds kEnoughForAHead = kSanitized ? milliseconds(3000) : milliseconds(2000);

const std::string kHalf = "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf";

TEST_F(GoTimeouts, TransportResponseHeaderTimeout) {
  ScriptedServer server([](Peer& peer, int) {
    while (const auto head = peer.read_head()) {
      if (head->starts_with("GET /slow")) return peer.read_to_end();
      peer.respond();
    }
  });
  Client& client = use({.response_header_timeout = kEnoughForAHead});
  EXPECT_TRUE(client.get(server.url("/fast")));
  const auto slow = client.get(server.url("/slow"));
  expect_error(slow, Errc::timeout, Phase::wait);
  EXPECT_EQ(slow.error().code, std::errc::timed_out);
  EXPECT_THAT(slow.error().message(), HasSubstr("awaiting response head"));
  EXPECT_TRUE(client.get(server.url("/fast")));
}

TEST_F(GoTimeouts, ClientTimeoutHeaders) {
  ScriptedServer server([](Peer& peer, int) {
    while (const auto head = peer.read_head()) {
      if (!head->starts_with("GET /first")) return peer.read_to_end();
      peer.write("HTTP/1.1 302 Found\r\nLocation: /slow\r\nContent-Length: 0\r\n\r\n");
    }
  });
  Client& client = use();
  const auto result = client.send(Request{.url = server.url("/first"), .timeout = kEnoughForAHead});
  expect_error(result, Errc::timeout, Phase::wait);
  EXPECT_EQ(hooks_.count(EventKind::redirect), 1u) << "one limit for all hops";
  EXPECT_THAT(result.error().with_times(), HasSubstr("in wait"));
}

TEST_F(GoTimeouts, ClientTimeout) {
  Silent server(kHalf);
  Client& client = use();
  auto opened = client.open({.url = server.url(), .timeout = kEnoughForAHead});
  ASSERT_TRUE(opened) << "the head came in time";
  const auto body = opened->body.read_all();
  ASSERT_FALSE(body);
  EXPECT_EQ(body.error().code, Errc::timeout);
  EXPECT_EQ(body.error().phase, Phase::receive);
  EXPECT_THAT(body.error().with_times(), HasSubstr("in receive"));
}

TEST_F(GoTimeouts, ClientTimeoutDoesNotExpire) {
  ScriptedServer server(answer_all);
  Client& client = use();
  for (int i = 0; i < 2; ++i) {
    ASSERT_TRUE(client.send(Request{.url = server.url(), .timeout = std::chrono::hours(1)}));
  }
  EXPECT_EQ(server.connections(), 1);
}

TEST_F(GoTimeouts, ClientTimeoutKillsConnBeforeHeaders) {
  std::atomic<bool> ended = false;
  ScriptedServer server([&](Peer& peer, int) {
    if (peer.read_head()) peer.respond();
    peer.read_to_end();
    ended = true;
  });
  Client& client = use();
  ASSERT_TRUE(client.get(server.url())) << "so that there is a connection: a dial might take as long as the timeout";
  EXPECT_FALSE(client.send(Request{.url = server.url(), .timeout = milliseconds(200)}));
  EXPECT_TRUE(eventually([&] { return ended.load(); }));
  EXPECT_EQ(close_reason(), CloseReason::request_timeout);
}

TEST_F(GoTimeouts, ClientTimeoutKillsConnAfterHeaders) {
  Silent server(kHalf);
  Client& client = use();
  {
    const auto opened = client.open({.url = server.url(), .timeout = kEnoughForAHead});
    ASSERT_TRUE(opened);
    EXPECT_TRUE(server.client_ended()) << "although the application holds the body";
  }
  EXPECT_EQ(close_reason(), CloseReason::request_timeout);
}

TEST_F(GoTimeouts, ClientPropagatesTimeoutToContext) {
  const DeafListener deaf;
  ASSERT_TRUE(deaf.works());
  Client& client = use();
  const auto result =
      client.send(Request{.url = "http://127.0.0.1:" + std::to_string(deaf.port()) + "/", .timeout = milliseconds(50)});
  expect_error(result, Errc::timeout, Phase::connect);
}

TEST_F(GoTimeouts, TransportCancelRequestInDial) {
  const DeafListener deaf;
  ASSERT_TRUE(deaf.works());
  Client& client = use();
  std::stop_source stop;
  auto result = client.send_async(
      Request{.url = "http://127.0.0.1:" + std::to_string(deaf.port()) + "/", .stop = stop.get_token()});
  ASSERT_TRUE(hooks_.wait_for_count(EventKind::connect_start, 1));
  stop.request_stop();
  expect_error(result.get(), Errc::cancelled, Phase::connect);
  expect_nothing_pending();
  transport_->close_idle_connections();
  EXPECT_TRUE(hooks_.wait_for_count(EventKind::dial_done, 1)) << "nobody waits for it";
}

TEST_F(GoTimeouts, TransportCancelBeforeResponseHeaders) {
  Silent server;
  Client& client = use();
  std::stop_source stop;
  auto result = client.send_async(Request{.url = server.url(), .stop = stop.get_token()});
  ASSERT_TRUE(hooks_.wait_for_count(EventKind::wrote_request, 1));
  stop.request_stop();
  expect_error(result.get(), Errc::cancelled, Phase::wait);
  EXPECT_TRUE(server.client_ended());
  expect_nothing_pending();
}

TEST_F(GoTimeouts, CancelRequestMidBody) {
  Silent server(kHalf);
  Client& client = use();
  std::stop_source stop;
  auto opened = client.open({.url = server.url(), .stop = stop.get_token()});
  ASSERT_TRUE(opened);
  char bytes[16];
  std::string got;
  while (got.size() < 4) {
    const auto more = opened->body.read(bytes, sizeof bytes);
    ASSERT_TRUE(more);
    got.append(bytes, *more);
  }
  EXPECT_EQ(got, "half");
  stop.request_stop();
  const auto rest = opened->body.read(bytes, sizeof bytes);
  ASSERT_FALSE(rest);
  EXPECT_EQ(rest.error().code, Errc::cancelled);
  expect_nothing_pending();
}

TEST_F(GoTimeouts, CancelRequestWithBody) {
  Silent server;
  Client& client = use();
  std::stop_source stop;
  auto pipe = std::make_shared<PipeBody>();
  ASSERT_TRUE(pipe->write("some of it"));
  auto result =
      client.send_async(Request{.method = "POST", .url = server.url(), .body_source = pipe, .stop = stop.get_token()});
  ASSERT_TRUE(hooks_.wait_for_count(EventKind::wrote_headers, 1));
  stop.request_stop();
  expect_error(result.get(), Errc::cancelled, Phase::send);
  EXPECT_FALSE(pipe->write("more")) << "the writer is told";
  EXPECT_TRUE(server.client_ended());
  expect_nothing_pending();
}

TEST_F(GoTimeouts, CancelRequestWhenSharingConnection) {
  std::latch answer(1);
  ScriptedServer server([&](Peer& peer, int connection) {
    if (!peer.read_head()) return;
    answer.wait();
    peer.respond();
    if (connection > 0) answer_all(peer, 0);
    (void)peer.read_head();  // of the second request, which gets no answer
    peer.read_to_end();
  });
  Client& client = use({.max_conns_per_host = 1});
  // The second request is cancelled while the first one's hook for giving it the connection runs.
  std::stop_source stop;
  auto trace = std::make_shared<ClientTrace>();
  trace->put_idle_conn = [&](const HookContext&, const PutIdleConnInfo& info) {
    EXPECT_EQ(info.handed_to, 2u);
    stop.request_stop();
  };
  auto first = client.send_async(Request{.url = server.url(), .trace = trace});
  ASSERT_TRUE(hooks_.wait_for_count(EventKind::wrote_request, 1));
  auto second = client.send_async(Request{.url = server.url(), .stop = stop.get_token()});
  ASSERT_TRUE(hooks_.wait_for_count(EventKind::queue_enter, 1));
  answer.count_down();
  const auto response = first.get();
  ASSERT_TRUE(response) << response.error().message();
  EXPECT_EQ(response->body, "ok");
  const auto cancelled = second.get();
  ASSERT_FALSE(cancelled);
  EXPECT_EQ(cancelled.error().code, Errc::cancelled);
  EXPECT_TRUE(client.get(server.url()));
  expect_nothing_pending();
}

TEST_F(GoTimeouts, TransportDialCancelRace) {
  ScriptedServer server(answer_all, true);
  Client& client = use({.tls = {.ca_file = server.certificate_file()}});
  for (const EventKind at : {EventKind::request_start, EventKind::get_conn, EventKind::why_new,
                             EventKind::connect_start, EventKind::connect_done, EventKind::tls_handshake_start,
                             EventKind::tls_handshake_done, EventKind::dial_done, EventKind::got_conn}) {
    // Cancelled inside the hook itself: as early as any thread could.
    std::stop_source stop;
    auto trace = std::make_shared<ClientTrace>();
    const auto stop_at = [&](EventKind kind) {
      return [&, kind](const HookContext&, const auto&) {
        if (kind == at) stop.request_stop();
      };
    };
    trace->request_start = stop_at(EventKind::request_start);
    trace->get_conn = stop_at(EventKind::get_conn);
    trace->why_new = stop_at(EventKind::why_new);
    trace->connect_start = stop_at(EventKind::connect_start);
    trace->connect_done = stop_at(EventKind::connect_done);
    trace->tls_handshake_start = stop_at(EventKind::tls_handshake_start);
    trace->tls_handshake_done = stop_at(EventKind::tls_handshake_done);
    trace->dial_done = stop_at(EventKind::dial_done);
    trace->got_conn = stop_at(EventKind::got_conn);
    const auto result = client.send(Request{.url = server.url(), .stop = stop.get_token(), .trace = trace});
    // The response may be faster; before anything was done it cannot be.
    EXPECT_FALSE(result && at == EventKind::request_start);
    EXPECT_TRUE(result || result.error().code == Errc::cancelled) << to_string(at);
    expect_nothing_pending();
    transport_->close_idle_connections();
  }
  EXPECT_TRUE(client.get(server.url()));
}

TEST_F(GoTimeouts, ErrorWriteLoopRace) {
  // Cancels anywhere in an upload that the server reads slowly, never answers, or answers early.
  constexpr int kTimes = kSanitized ? 150 : 1000;
  ScriptedServer server([](Peer& peer, int connection) {
    while (peer.read_head()) {
      if (connection % 3 == 0) peer.respond();
      if (connection % 3 == 1) (void)peer.read_bytes(10'000);
      peer.read_to_end();
    }
  });
  Client& client = use();
  std::minstd_rand random(1);
  for (int i = 0; i < kTimes; ++i) {
    std::stop_source stop;
    auto result = client.send_async(Request{.method = "POST",
                                            .url = server.url(),
                                            .body = std::string(random() % 2 == 0 ? 100'000 : 1'000, 'x'),
                                            .stop = stop.get_token()});
    std::this_thread::sleep_for(std::chrono::microseconds(random() % 300));
    stop.request_stop();
    const auto outcome = result.get();
    EXPECT_TRUE(outcome || outcome.error().code == Errc::cancelled) << outcome.error().message();
  }
  expect_nothing_pending();
}

/// Answers with a body without end.
class Endless {
 public:
  ~Endless() { done_ = true; }
  Endless() = default;
  Endless(const Endless&) = delete;
  Endless& operator=(const Endless&) = delete;
  [[nodiscard]] std::string url() const { return server_.url(); }

 private:
  std::atomic<bool> done_ = false;
  ScriptedServer server_{[this](Peer& peer, int) {
    if (!peer.read_head()) return;
    peer.write("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
    while (!done_) peer.write("400\r\n" + std::string(1024, 'x') + "\r\n");
  }};
};

TEST_F(GoTimeouts, Issue4191InfiniteGetTimeout) {
  Endless server;
  Client& client = use({.receive_timeout = milliseconds(100)});
  std::size_t bytes = 0;
  const auto result = client.send(Request{.url = server.url(), .on_body = [&](std::string_view piece) {
                                            bytes += piece.size();
                                            return BodyAction::go_on;
                                          }});
  expect_error(result, Errc::timeout, Phase::receive);
  EXPECT_GT(bytes, 0u);
}

TEST_F(GoTimeouts, Issue4191InfiniteGetToPutTimeout) {
  Endless source;
  ScriptedServer sink([](Peer& peer, int) {
    (void)peer.read_head();
    peer.read_to_end();
  });
  Client& client = use({.receive_timeout = milliseconds(100)});
  auto opened = client.open({.url = source.url()});
  ASSERT_TRUE(opened);
  auto pipe = std::make_shared<PipeBody>();
  auto put = client.send_async(Request{.method = "PUT", .url = sink.url(), .body_source = pipe});
  char bytes[4096];
  for (;;) {
    auto got = opened->body.read(bytes, sizeof bytes);
    if (!got) {
      EXPECT_EQ(got.error().code, Errc::timeout);
      pipe->fail(std::move(got).error());
      break;
    }
    ASSERT_GT(*got, 0u);
    ASSERT_TRUE(pipe->write({bytes, *got}));
  }
  const auto result = put.get();
  ASSERT_FALSE(result) << "half a body must not look like a whole one";
  EXPECT_EQ(result.error().code, Errc::timeout);
  EXPECT_EQ(result.error().phase, Phase::send);
}

}  // namespace
}  // namespace conntrace::test
