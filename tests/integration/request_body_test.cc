// SPDX-License-Identifier: Apache-2.0
// Request bodies that are made while they are sent: sources that are late, wrong, or cannot go back.
#include <atomic>
#include <latch>
#include <thread>

#include "conntrace/body_source.h"
#include "conntrace/pipe_body.h"
#include "integration/transport_fixture.h"

namespace conntrace::test {
namespace {

class RequestBody : public TransportTest {};

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

TEST_F(RequestBody, BodyOfKnownSizeHasAContentLength) {
  std::string head, body;
  ScriptedServer server(answer_with_body_read(6, &head, &body));
  auto source = std::make_shared<ScriptedSource>(std::vector<std::string>{"abc", "def"}, 6);
  ASSERT_TRUE(use().send(Request{.method = "PUT", .url = server.url(), .body_source = source}));
  EXPECT_NE(head.find("Content-Length: 6\r\n"), std::string::npos);
  EXPECT_EQ(body, "abcdef");
  EXPECT_EQ(source->closed, 1);
}

TEST_F(RequestBody, BodyOfUnknownSizeIsChunked) {
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

TEST_F(RequestBody, SourceThatFailsEndsTheRequestInPhaseSend) {
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

TEST_F(RequestBody, SourceThatBreaksItsWordAboutTheSizeFails) {
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

TEST_F(RequestBody, RetryRewindsTheSource) {
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

TEST_F(RequestBody, SourceThatCannotRewindIsNotRetried) {
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

TEST_F(RequestBody, SendTimeoutEndsAnUploadThatTheServerDoesNotRead) {
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

TEST_F(RequestBody, PipeSendsWhatAThreadWrites) {
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

TEST_F(RequestBody, WriterLearnsThatTheRequestHasEnded) {
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

/// "abc", then one trailer field, which need not be the one that it announced.
class BodyWithTrailer final : public BodySource {
 public:
  BodyWithTrailer(std::string announced, std::string given)
      : announced_(std::move(announced)), given_(std::move(given)) {}
  [[nodiscard]] Result<Piece> read(char* into, std::size_t) override {
    if (std::exchange(read_, true)) return Piece{Status::end, 0};
    return Piece{Status::data, std::string_view("abc").copy(into, 3)};
  }
  [[nodiscard]] std::vector<std::string> trailer_names() const override { return {announced_}; }
  [[nodiscard]] Headers trailers() override { return {{given_, "6"}}; }

 private:
  const std::string announced_;
  const std::string given_;
  bool read_ = false;
};

TEST_F(RequestBody, TrailersFollowTheLastChunk) {
  constexpr std::string_view kBody = "3\r\nabc\r\n0\r\nx-sum: 6\r\n\r\n";
  std::string head, body;
  ScriptedServer server(answer_with_body_read(kBody.size(), &head, &body));
  const auto source = std::make_shared<BodyWithTrailer>("X-Sum", "x-sum");
  ASSERT_TRUE(use().send(Request{.method = "POST", .url = server.url(), .body_source = source}));
  EXPECT_NE(head.find("\r\nTrailer: X-Sum\r\n"), std::string::npos) << head;
  EXPECT_EQ(body, kBody);
}

TEST_F(RequestBody, UnannouncedTrailerFailsTheRequest) {
  ScriptedServer server([](Peer& peer, int) { peer.read_to_end(); });
  const auto source = std::make_shared<BodyWithTrailer>("X-Sum", "X-Other");
  const auto result = use().send(Request{.method = "POST", .url = server.url(), .body_source = source});
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code, Errc::body_source_failed);
  EXPECT_EQ(result.error().phase, Phase::send);
}

TEST_F(RequestBody, NameThatMayNotBeATrailerRefusesTheRequestBeforeItDials) {
  ScriptedServer server(answer_all);
  Client& client = use();
  for (const char* bad : {"a\nb", "", "Content-Length", "Transfer-Encoding"}) {
    const auto source = std::make_shared<BodyWithTrailer>(bad, bad);
    const auto result = client.send(Request{.method = "POST", .url = server.url(), .body_source = source});
    ASSERT_FALSE(result) << bad;
    EXPECT_EQ(result.error().code, Errc::invalid_request) << bad;
  }
  EXPECT_EQ(server.connections(), 0);
}

}  // namespace
}  // namespace conntrace::test
