// SPDX-License-Identifier: Apache-2.0
// Bodies in pieces, both ways: back-pressure, giving up, sources that are late, wrong, or cannot go back.
#include <atomic>
#include <latch>

#include "conntrace/body_source.h"
#include "conntrace/pipe_body.h"
#include "integration/transport_fixture.h"

namespace conntrace::test {
namespace {

class Streaming : public TransportTest {
 protected:
  [[nodiscard]] BodyOutcome outcome() const { return hooks_.all<EventKind::body_closed>().at(0).outcome; }
};

/// Gives pieces that the test puts in; `later` when it has none.
class ScriptedSource final : public BodySource {
 public:
  explicit ScriptedSource(std::vector<std::string> pieces, std::optional<std::uint64_t> size = {}, bool rewinds = false)
      : pieces_(std::move(pieces)), size_(size), rewinds_(rewinds) {}

  [[nodiscard]] std::optional<std::uint64_t> size() const override { return size_; }
  [[nodiscard]] Result<Piece> read(char* into, std::size_t room) override {
    if (next_ == pieces_.size()) return Piece{Status::end, 0};
    const std::string& piece = pieces_[next_];
    if (piece == "later") {
      ++next_;
      asked_too_early.count_down();
      return Piece{Status::later, 0};
    }
    if (piece == "fail") return Failure(make_error(Errc::bad_record, "disk on fire"));
    ++next_;
    EXPECT_LE(piece.size(), room);
    piece.copy(into, piece.size());
    return Piece{Status::data, piece.size()};
  }
  [[nodiscard]] bool rewindable() const override { return rewinds_; }
  [[nodiscard]] bool rewind() override {
    ++rewinds;
    next_ = 0;
    return rewinds_;
  }
  void on_attach(std::function<void()> wake) override { this->wake = std::move(wake); }
  void close() noexcept override { ++closed; }

  std::latch asked_too_early{1};
  std::function<void()> wake;
  std::atomic<int> closed = 0;
  std::atomic<int> rewinds = 0;

 private:
  std::vector<std::string> pieces_;
  std::optional<std::uint64_t> size_;
  bool rewinds_;
  std::size_t next_ = 0;
};

ScriptedServer::Script answer_with_body_read(std::size_t bytes, std::string* head, std::string* body) {
  return [=](Peer& peer, int) {
    *head = peer.read_head().value_or("");
    *body = peer.read_bytes(bytes);
    peer.respond();
    peer.read_to_end();
  };
}

TEST_F(Streaming, BodyOfKnownSizeHasAContentLength) {
  std::string head, body;
  ScriptedServer server(answer_with_body_read(6, &head, &body));
  auto source = std::make_shared<ScriptedSource>(std::vector<std::string>{"abc", "def"}, 6);
  ASSERT_TRUE(use().send(Request{.method = "PUT", .url = server.url(), .body_source = source}));
  EXPECT_NE(head.find("Content-Length: 6\r\n"), std::string::npos);
  EXPECT_EQ(body, "abcdef");
  EXPECT_EQ(source->closed, 1);
}

TEST_F(Streaming, BodyOfUnknownSizeIsChunked) {
  std::string head, body;
  ScriptedServer server(answer_with_body_read(std::string("3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n").size(), &head, &body));
  auto source = std::make_shared<ScriptedSource>(std::vector<std::string>{"abc", "later", "de"});
  std::jthread waker([source] {
    source->asked_too_early.wait();
    source->wake();
  });
  ASSERT_TRUE(use().send(Request{.method = "POST", .url = server.url(), .body_source = source}));
  EXPECT_NE(head.find("Transfer-Encoding: chunked\r\n"), std::string::npos);
  EXPECT_EQ(body, "3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n");
  EXPECT_EQ(hooks_.all<EventKind::wrote_request>().at(0).error, "");
}

TEST_F(Streaming, SourceThatFailsEndsTheRequestInPhaseSend) {
  ScriptedServer server([](Peer& peer, int) { peer.read_to_end(); });
  auto source = std::make_shared<ScriptedSource>(std::vector<std::string>{"abc", "fail"});
  const auto result = use().send(Request{.method = "POST", .url = server.url(), .body_source = source});
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code, Errc::bad_record);
  EXPECT_EQ(result.error().phase, Phase::send);
  EXPECT_NE(result.error().message().find("disk on fire"), std::string::npos);
  EXPECT_EQ(source->closed, 1);
  EXPECT_EQ(close_reason(), CloseReason::request_not_sent);
}

TEST_F(Streaming, SourceThatBreaksItsWordAboutTheSizeFails) {
  ScriptedServer server([](Peer& peer, int) { peer.read_to_end(); });
  Client& client = use();
  for (const std::uint64_t size : {2u, 4u}) {
    auto source = std::make_shared<ScriptedSource>(std::vector<std::string>{"abc"}, size);
    const auto result = client.send(Request{.method = "POST", .url = server.url(), .body_source = source});
    ASSERT_FALSE(result);
    EXPECT_EQ(result.error().code, Errc::body_source_failed);
    EXPECT_NE(result.error().message().find("gave 3"), std::string::npos) << result.error().message();
    EXPECT_EQ(source->closed, 1);
  }
}

/// Serves one request on the first connection and closes it under the second.
void close_under_the_second(Peer& peer, int connection) {
  if (!peer.read_head()) return;
  if (connection == 0) {
    peer.respond();
    if (peer.read_head()) peer.close();
    return;
  }
  EXPECT_EQ(peer.read_bytes(3), "abc");
  peer.respond();
  peer.read_to_end();
}

TEST_F(Streaming, RetryRewindsTheSource) {
  ScriptedServer server(close_under_the_second);
  Client& client = use();
  ASSERT_TRUE(client.get(server.url()));
  auto source = std::make_shared<ScriptedSource>(std::vector<std::string>{"abc"}, 3, true);
  const auto result = client.send(
      Request{.method = "POST", .url = server.url(), .headers = {{"Idempotency-Key", "1"}}, .body_source = source});
  EXPECT_TRUE(result);
  EXPECT_EQ(source->rewinds, 1);
  EXPECT_EQ(source->closed, 1);
  EXPECT_EQ(hooks_.count(EventKind::retry), 1u);
}

TEST_F(Streaming, SourceThatCannotRewindIsNotRetried) {
  ScriptedServer server(close_under_the_second);
  Client& client = use();
  ASSERT_TRUE(client.get(server.url()));
  auto source = std::make_shared<ScriptedSource>(std::vector<std::string>{"abc"}, 3, false);
  const auto result = client.send(
      Request{.method = "POST", .url = server.url(), .headers = {{"Idempotency-Key", "1"}}, .body_source = source});
  ASSERT_FALSE(result);
  EXPECT_NE(result.error().message().find("cannot be sent again"), std::string::npos);
  EXPECT_EQ(hooks_.count(EventKind::retry), 0u);
  EXPECT_EQ(source->closed, 1);
}

TEST_F(Streaming, PausedBodyIsNotReadUntilResumed) {
  constexpr std::size_t kBytes = 32u << 20;  // more than any socket buffer
  std::atomic<bool> all_written = false;
  ScriptedServer server([&](Peer& peer, int) {
    ASSERT_TRUE(peer.read_head());
    peer.write("HTTP/1.1 200 OK\r\nContent-Length: " + std::to_string(kBytes) + "\r\n\r\n");
    peer.write(std::string(kBytes, 'x'));
    all_written = true;
    peer.read_to_end();
  });
  Client& client = use({.body_held_threshold = std::chrono::milliseconds(1)});
  std::size_t taken = 0;
  bool paused = false;
  std::promise<Result<Response>> done;
  const RequestId id =
      client.send(Request{.url = server.url(),
                          .on_body =
                              [&](std::string_view piece) {
                                taken += piece.size();
                                return std::exchange(paused, true) ? BodyAction::go_on : BodyAction::pause;
                              }},
                  [&](Result<Response> result) { done.set_value(std::move(result)); });
  ASSERT_TRUE(hooks_.wait_for_count(EventKind::body_held, 1));
  EXPECT_FALSE(all_written);
  EXPECT_EQ(hooks_.count(EventKind::body_done), 0u);
  transport_->resume(id);
  ASSERT_TRUE(done.get_future().get());
  EXPECT_EQ(taken, kBytes);
  const auto held = hooks_.all<EventKind::body_held>().at(0);
  EXPECT_GE(held.held_ns, 1'000'000u);
  EXPECT_LT(held.bytes, kBytes);
  EXPECT_GE(hooks_.all<EventKind::body_done>().at(0).held_ns, held.held_ns);
  EXPECT_EQ(outcome(), BodyOutcome::complete);
}

TEST_F(Streaming, ConnectionOfABodyThatArrivedServesOthersWhileItWaits) {
  ScriptedServer server(answer_all);
  Client& client = use({.max_conns_per_host = 1});
  std::promise<Result<Response>> done;
  const RequestId id = client.send(
      Request{.url = server.url(),
              .on_body = [](std::string_view piece) { return piece.empty() ? BodyAction::go_on : BodyAction::pause; }},
      [&](Result<Response> result) { done.set_value(std::move(result)); });
  ASSERT_TRUE(hooks_.wait_for_count(EventKind::put_idle_conn, 1));
  EXPECT_TRUE(client.get(server.url()));
  EXPECT_EQ(server.connections(), 1);
  transport_->resume(id);
  EXPECT_TRUE(done.get_future().get());
}

TEST_F(Streaming, ErrorWhileDeliveringDoesNotTouchTheConnectionsNextRequest) {
  ScriptedServer server(answer_all);
  Client& client = use({.max_conns_per_host = 1});
  std::promise<Result<Response>> done;
  const RequestId id = client.send(
      Request{.url = server.url(),
              .on_body = [](std::string_view piece) { return piece.empty() ? BodyAction::go_on : BodyAction::pause; }},
      [&](Result<Response> result) { done.set_value(std::move(result)); });
  ASSERT_TRUE(hooks_.wait_for_count(EventKind::put_idle_conn, 1));
  transport_->cancel(id);
  const auto result = done.get_future().get();
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code, Errc::cancelled);
  EXPECT_EQ(result.error().phase, Phase::body_held);
  EXPECT_TRUE(client.get(server.url()));
  EXPECT_EQ(server.connections(), 1);
}

TEST_F(Streaming, ShortRestOfAnAbandonedBodyIsDrained) {
  ScriptedServer server([](Peer& peer, int) {
    while (peer.read_head()) {
      peer.write("HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nabc");
      peer.write("def");
    }
  });
  Client& client = use();
  ASSERT_TRUE(client.send(Request{.url = server.url(), .on_body = [](std::string_view) { return BodyAction::stop; }}));
  EXPECT_EQ(outcome(), BodyOutcome::drained);
  EXPECT_TRUE(client.get(server.url()));
  EXPECT_EQ(server.connections(), 1);
}

TEST_F(Streaming, RestThatDoesNotComeInTimeIsAbandoned) {
  ScriptedServer server([](Peer& peer, int) {
    ASSERT_TRUE(peer.read_head());
    peer.write("HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nabc");
    peer.read_to_end();
  });
  Client& client = use();
  ASSERT_TRUE(client.send(Request{.url = server.url(), .on_head = [](const Response& head) {
                                    EXPECT_EQ(head.status, 200);
                                    return HeadAction::discard;
                                  }}));
  EXPECT_EQ(outcome(), BodyOutcome::abandoned);
  EXPECT_EQ(close_reason(), CloseReason::body_abandoned);
}

TEST_F(Streaming, HeadActionDiscardKeepsAConnectionWithoutABody) {
  ScriptedServer server([](Peer& peer, int) {
    while (peer.read_head()) peer.write("HTTP/1.1 204 No Content\r\n\r\n");
  });
  Client& client = use();
  for (int i = 0; i < 2; ++i) {
    ASSERT_TRUE(
        client.send(Request{.url = server.url(), .on_head = [](const Response&) { return HeadAction::discard; }}));
  }
  EXPECT_EQ(server.connections(), 1);
}

TEST_F(Streaming, PhasesOfAFailureSayWhereTheTimeWent) {
  ScriptedServer server([](Peer& peer, int) { peer.read_to_end(); });
  const auto result = use().send(Request{.url = server.url(), .timeout = std::chrono::milliseconds(30)});
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().phase, Phase::wait);
  std::chrono::nanoseconds sum{};
  bool waited = false;
  bool connected = false;
  for (const PhaseTime& part : result.error().spent) {
    sum += part.time;
    if (part.phase == Phase::wait) waited = part.time > std::chrono::milliseconds(1);
    if (part.phase == Phase::connect) connected = true;
  }
  EXPECT_TRUE(waited);
  EXPECT_TRUE(connected);
  const auto duration = hooks_.all<EventKind::request_done>().at(0).duration_ns;
  EXPECT_LE(sum.count(), static_cast<std::int64_t>(duration));
  EXPECT_GE(sum.count(), static_cast<std::int64_t>(duration) * 9 / 10);
}

TEST_F(Streaming, SendTimeoutEndsAnUploadThatTheServerDoesNotRead) {
  ScriptedServer server([](Peer& peer, int) {
    ASSERT_TRUE(peer.read_head());
    peer.read_to_end();
  });
  auto source = std::make_shared<ScriptedSource>(std::vector<std::string>{"later"});
  const auto result = use({.send_timeout = std::chrono::milliseconds(5)})
                          .send(Request{.method = "POST", .url = server.url(), .body_source = source});
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code, Errc::timeout);
  EXPECT_EQ(result.error().phase, Phase::send);
  EXPECT_EQ(close_reason(), CloseReason::request_timeout);
}

TEST_F(Streaming, ReceiveTimeoutEndsABodyThatDoesNotEnd) {
  ScriptedServer server([](Peer& peer, int) {
    ASSERT_TRUE(peer.read_head());
    peer.write("HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nabc");
    peer.read_to_end();
  });
  const auto result = use({.receive_timeout = std::chrono::milliseconds(5)}).get(server.url());
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code, Errc::timeout);
  EXPECT_EQ(result.error().phase, Phase::receive);
}

TEST_F(Streaming, ReaderGetsTheBodyAsItArrives) {
  std::latch first_piece_was_read{1};
  ScriptedServer server([&](Peer& peer, int) {
    ASSERT_TRUE(peer.read_head());
    peer.write("HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nabc");
    first_piece_was_read.wait();
    peer.write("def");
    peer.read_to_end();
  });
  auto opened = use().open({.url = server.url()});
  ASSERT_TRUE(opened) << opened.error().message();
  EXPECT_EQ(opened->head.status, 200);
  char bytes[16];
  ASSERT_EQ(opened->body.read(bytes, sizeof bytes), 3u);
  first_piece_was_read.count_down();
  EXPECT_EQ(opened->body.read_all(), "def");
  EXPECT_EQ(opened->body.read(bytes, sizeof bytes), 0u);
}

TEST_F(Streaming, ReaderHoldsBackAServerThatIsFasterThanIt) {
  constexpr std::size_t kBytes = 32u << 20;
  ScriptedServer server([&](Peer& peer, int) {
    ASSERT_TRUE(peer.read_head());
    peer.respond(std::string(kBytes, 'x'));
    peer.read_to_end();
  });
  auto opened = use({.body_held_threshold = std::chrono::milliseconds(1)}).open({.url = server.url()});
  ASSERT_TRUE(opened);
  ASSERT_TRUE(hooks_.wait_for_count(EventKind::body_held, 1));
  const auto all = opened->body.read_all();
  ASSERT_TRUE(all);
  EXPECT_EQ(all->size(), kBytes);
  EXPECT_TRUE(hooks_.wait_for_count(EventKind::request_done, 1));
}

TEST_F(Streaming, DroppedReaderGivesTheBodyUp) {
  ScriptedServer server([](Peer& peer, int) {
    ASSERT_TRUE(peer.read_head());
    peer.write("HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\nabc");
    peer.read_to_end();
  });
  { ASSERT_TRUE(use().open({.url = server.url()})); }
  EXPECT_EQ(close_reason(), CloseReason::body_abandoned);
  ASSERT_TRUE(hooks_.wait_for_count(EventKind::request_done, 1));
  EXPECT_EQ(outcome(), BodyOutcome::abandoned);
}

TEST_F(Streaming, ReaderGetsWhatArrivedBeforeTheError) {
  ScriptedServer server([](Peer& peer, int) {
    ASSERT_TRUE(peer.read_head());
    peer.write("HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nabc");
  });
  auto opened = use().open({.url = server.url()});
  ASSERT_TRUE(opened);
  ASSERT_TRUE(hooks_.wait_for_count(EventKind::request_done, 1));
  char bytes[16];
  EXPECT_EQ(opened->body.read(bytes, sizeof bytes), 3u);
  const auto end = opened->body.read(bytes, sizeof bytes);
  ASSERT_FALSE(end);
  EXPECT_EQ(end.error().phase, Phase::receive);
}

TEST_F(Streaming, PipeSendsWhatAThreadWrites) {
  std::string body;
  ScriptedServer server([&](Peer& peer, int) {
    ASSERT_TRUE(peer.read_head());
    body = peer.read_bytes(1 << 20);
    peer.respond();
    peer.read_to_end();
  });
  auto pipe = std::make_shared<PipeBody>(1 << 20, 1000);
  auto result = use().send_async({.method = "POST", .url = server.url(), .body_source = pipe});
  for (int i = 0; i < 1024; ++i) ASSERT_TRUE(pipe->write(std::string(1024, static_cast<char>('a' + i % 26))));
  pipe->finish();
  ASSERT_TRUE(result.get());
  EXPECT_EQ(body.size(), 1u << 20);
  EXPECT_EQ(body.substr(1023, 2), "ab");
}

TEST_F(Streaming, WriterLearnsThatTheRequestHasEnded) {
  ScriptedServer server([](Peer& peer, int) {
    ASSERT_TRUE(peer.read_head());
    peer.reset();
  });
  auto pipe = std::make_shared<PipeBody>();
  auto result = use().send_async({.method = "POST", .url = server.url(), .body_source = pipe});
  Result<void> wrote;
  while (wrote) wrote = pipe->write(std::string(1024, 'x'));
  EXPECT_EQ(wrote.error().code, Errc::cancelled);
  EXPECT_FALSE(result.get());
}

}  // namespace
}  // namespace conntrace::test
