// SPDX-License-Identifier: Apache-2.0
// Response bodies in pieces: back-pressure, giving up, reading as they arrive.
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <atomic>
#include <functional>
#include <latch>
#include <vector>

#include "integration/transport_fixture.h"
#include "support/deadline.h"

namespace conntrace::test {
namespace {

class ResponseBody : public TransportTest {
 protected:
  [[nodiscard]] BodyOutcome outcome() const { return hooks_.all<EventKind::body_closed>().at(0).outcome; }
};

TEST_F(ResponseBody, PausedBodyIsNotReadUntilResumed) {
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

TEST_F(ResponseBody, ConnectionOfABodyThatArrivedServesOthersWhileItWaits) {
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

TEST_F(ResponseBody, ErrorWhileDeliveringDoesNotTouchTheConnectionsNextRequest) {
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

TEST_F(ResponseBody, ShortRestOfAnAbandonedBodyIsDrained) {
  ScriptedServer server([](Peer& peer, int) {
    while (peer.read_head()) {
      peer.write("HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nabc");
      peer.write("def");
    }
  });
  Client& client = use({.drain_timeout = std::chrono::hours(1)});
  ASSERT_TRUE(client.send(Request{.url = server.url(), .on_body = [](std::string_view) { return BodyAction::stop; }}));
  EXPECT_EQ(outcome(), BodyOutcome::drained);
  EXPECT_TRUE(client.get(server.url()));
  EXPECT_EQ(server.connections(), 1);
}

TEST_F(ResponseBody, RestThatDoesNotComeInTimeIsAbandoned) {
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

TEST_F(ResponseBody, HeadActionDiscardKeepsAConnectionWithoutABody) {
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

TEST_F(ResponseBody, PhasesOfAFailureSayWhereTheTimeWent) {
  ScriptedServer server([](Peer& peer, int) { peer.read_to_end(); });
  constexpr std::chrono::milliseconds kWait(30);
  const auto result = use({.response_header_timeout = kWait}).get(server.url());
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().phase, Phase::wait);
  std::chrono::nanoseconds sum{};
  bool waited = false;
  bool connected = false;
  for (const PhaseTime& part : result.error().spent) {
    sum += part.time;
    if (part.phase == Phase::wait) waited = part.time >= kWait;
    if (part.phase == Phase::connect) connected = true;
  }
  EXPECT_TRUE(waited);
  EXPECT_TRUE(connected);
  const auto duration = hooks_.all<EventKind::request_done>().at(0).duration_ns;
  EXPECT_LE(sum.count(), static_cast<std::int64_t>(duration));
  // Nothing is left out: from the first phase on to the last byte sent, and the wait after it.
  std::uint64_t start_ns = 0;
  std::uint64_t sent_ns = 0;
  for (const Event& event : hooks_.events()) {
    if (event.kind() == EventKind::get_conn) start_ns = event.header.mono_ns;
    if (event.kind() == EventKind::wrote_request) sent_ns = event.header.mono_ns;
  }
  ASSERT_GT(sent_ns, start_ns);
  EXPECT_GE(sum, std::chrono::nanoseconds(sent_ns - start_ns) + kWait);
}

TEST_F(ResponseBody, ReceiveTimeoutEndsABodyThatDoesNotEnd) {
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

TEST_F(ResponseBody, ReaderGetsTheBodyAsItArrives) {
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

TEST_F(ResponseBody, ReaderHoldsBackAServerThatIsFasterThanIt) {
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

TEST_F(ResponseBody, ServerThatIsFasterThanTheApplicationLeavesOthersTheirTurn) {
  std::atomic<bool> over = false;
  ScriptedServer server([&over](Peer& peer, int) {
    ASSERT_TRUE(peer.read_head());
    peer.write("HTTP/1.1 200 OK\r\n\r\n");
    const std::string block(1u << 20, 'x');
    while (!over) peer.write(block);
  });
  ScriptedServer calm(answer_all);
  Client& client = use();
  constexpr std::size_t kTurns = 20;
  int pieces = 0;
  std::vector<int> turns;  // how many pieces had come at each
  std::function<void(bool)> have_a_turn = [&](bool) {
    turns.push_back(pieces);
    if (turns.size() < kTurns) transport_->run_after({}, have_a_turn);
  };
  const auto take = [&](std::string_view) {
    const int fd = hooks_.all<EventKind::got_conn>().at(0).fd;
    if (++pieces == 1) {
      const int bytes = 1 << 20;
      setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof bytes);
    }
    if (pieces == 10) transport_->run_after({}, have_a_turn);  // well under way
    // The next piece is there before this one is done with.
    EXPECT_TRUE(testing::eventually([fd] {
      int readable = 0;
      return ioctl(fd, FIONREAD, &readable) == 0 && readable >= 1 << 16;
    }));
    return turns.size() == kTurns || pieces == 5000 ? BodyAction::stop : BodyAction::go_on;
  };
  const auto result = client.send(Request{.url = server.url(), .on_body = take});
  over = true;
  EXPECT_TRUE(result) << result.error().message();
  ASSERT_TRUE(client.get(calm.url()));  // turns are the loop's thread's until now
  ASSERT_EQ(turns.size(), kTurns) << pieces << " pieces";
  for (std::size_t i = 1; i < turns.size(); ++i)
    EXPECT_LE(turns[i] - turns[i - 1], 100) << "and no more as time goes on";
}

TEST_F(ResponseBody, RestThatCameDuringAPauseIsDrainedToo) {
  std::latch paused(1);
  ScriptedServer server([&](Peer& peer, int) {
    ASSERT_TRUE(peer.read_head());
    peer.write("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nfirst");
    paused.wait();
    peer.write("rest");
    answer_all(peer, 0);
  });
  Client& client = use({.drain_timeout = std::chrono::hours(1)});
  std::promise<Result<Response>> done;
  const auto pause = [&](std::string_view) {
    paused.count_down();
    return BodyAction::pause;
  };
  const RequestId id = transport_->send(Request{.url = server.url(), .on_body = pause},
                                        [&](Result<Response> result) { done.set_value(std::move(result)); });
  paused.wait();
  const int fd = hooks_.all<EventKind::got_conn>().at(0).fd;
  ASSERT_TRUE(testing::eventually([fd] {
    int readable = 0;
    return ioctl(fd, FIONREAD, &readable) == 0 && readable == 4;
  }));
  ASSERT_EQ(transport_->pool_snapshot().active, 1u);  // the loop has had its turn: the rest is announced no more
  transport_->abandon_body(id);
  ASSERT_TRUE(done.get_future().get());
  EXPECT_EQ(outcome(), BodyOutcome::drained);
  ASSERT_TRUE(client.get(server.url()));
  EXPECT_EQ(server.connections(), 1);
}

TEST_F(ResponseBody, DroppedReaderGivesTheBodyUp) {
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

TEST_F(ResponseBody, ReaderGetsWhatArrivedBeforeTheError) {
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

}  // namespace
}  // namespace conntrace::test
