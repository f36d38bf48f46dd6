// SPDX-License-Identifier: Apache-2.0
// Races that the stress test lost, each made certain: what must come first is waited for, by holding up one side.
#include <atomic>
#include <future>
#include <latch>
#include <thread>

#include "integration/transport_fixture.h"
#include "support/deadline.h"

namespace conntrace::test {
namespace {

/// Holds the transport's thread up, before it looks at what was asked of it.
class Standstill {
 public:
  /// From now on, until during() ends. Any thread, hooks too.
  void begin(Transport& transport) {
    transport.run_after({}, [this](bool) {
      standing_.set_value();
      go_on_.get_future().wait();
      moving_.set_value();
    });
  }
  /// Runs this when it stands still, and lets it go then.
  void during(const std::function<void()>& meanwhile) {
    standing_.get_future().wait();
    meanwhile();
    go_on_.set_value();
    moving_.get_future().wait();
  }

 private:
  std::promise<void> standing_;
  std::promise<void> go_on_;
  std::promise<void> moving_;
};

class Races : public TransportTest {};

TEST_F(Races, CancelRightAfterSend) {
  ScriptedServer silent([](Peer& peer, int) { peer.read_to_end(); });
  Client& client = use();
  std::promise<Result<Response>> done;
  Standstill standstill;
  standstill.begin(*transport_);
  standstill.during([&] {
    const RequestId id =
        client.send(Request{.url = silent.url()}, [&](Result<Response> result) { done.set_value(std::move(result)); });
    transport_->cancel(id);
  });
  const auto result = done.get_future().get();
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code, Errc::cancelled);
  EXPECT_EQ(hooks_.sequence(1), "request_start request_done");
}

TEST_F(Races, PauseThatIsCancelledWhenItsTimeIsOver) {
  ScriptedServer server([](Peer& peer, int) {
    while (peer.read_head()) peer.write("HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n");
  });
  use();
  constexpr auto kPause = std::chrono::milliseconds(150);
  Client client(transport_, {.retry = std::make_shared<RetryPolicy>(
                                 RetryOptions{.attempts = 2, .delay = kPause, .delay_type = fixed_delay})});
  std::stop_source stop;
  std::atomic<int> completions = 0;
  // Asked for before the pause, so the pause cannot be over before it stands still.
  Standstill standstill;
  auto trace = std::make_shared<ClientTrace>();
  trace->request_done = [&, first = true](const HookContext&, const RequestDoneInfo&) mutable {
    if (std::exchange(first, false)) standstill.begin(*transport_);
  };
  client.send(Request{.url = server.url(), .stop = stop.get_token(), .trace = trace},
              [&](const Result<Response>&) { ++completions; });
  // Both the stop and the end of the pause are due when it moves again, the stop first.
  standstill.during([&] {
    stop.request_stop();
    std::this_thread::sleep_for(2 * kPause);
  });
  ASSERT_TRUE(testing::eventually([&] { return completions > 0; }));
  // What the pause led to would be done before this, which begins later.
  ASSERT_TRUE(Client(transport_).get(server.url()));
  EXPECT_EQ(completions, 1);
  EXPECT_EQ(hooks_.count(EventKind::request_start), 2u);
}

// Go marks a connection as reused when it is pooled, also when that is the end of a dial that nobody waited for.
TEST_F(Races, PooledDialThatTheServerClosesIsRetried) {
  ScriptedServer server([](Peer& peer, int connection) {
    while (peer.read_head()) {
      if (connection == 0) return;  // as if its FIN had crossed the request
      peer.respond();
    }
  });
  Client& client = use();
  std::stop_source stop;
  auto trace = std::make_shared<ClientTrace>();
  trace->why_new = [&](const HookContext&, const WhyNewInfo&) { stop.request_stop(); };
  const auto cancelled = client.send(Request{.url = server.url(), .stop = stop.get_token(), .trace = trace});
  ASSERT_FALSE(cancelled);
  ASSERT_TRUE(hooks_.wait_for_count(EventKind::put_idle_conn, 1));
  const auto response = client.get(server.url());
  ASSERT_TRUE(response) << response.error().message();
  EXPECT_EQ(hooks_.count(EventKind::retry), 1u);
  const auto got = hooks_.all<EventKind::got_conn>(2);
  ASSERT_EQ(got.size(), 2u);
  EXPECT_TRUE(got[0].was_idle);
  EXPECT_FALSE(got[0].reused) << "it carried no request before";
  EXPECT_EQ(closed().reason, CloseReason::server_closed_idle);
  EXPECT_EQ(closed().by, ClosedBy::peer);
}

// In one turn: the request's connection dies, it is to have an idle one, that one's FIN is read, and it is cancelled.
TEST_F(Races, FinOfAConnectionThatIsOnItsWayToACancelledRequest) {
  std::latch both_asked(2);
  std::atomic<bool> used_closed = false;
  std::promise<void> both_closed;
  ScriptedServer server([&](Peer& peer, int) {
    ASSERT_TRUE(peer.read_head());
    both_asked.arrive_and_wait();
    peer.respond();
    while (!used_closed) {
      if (!peer.readable(std::chrono::milliseconds(1))) continue;
      if (!peer.read_head()) return;
      peer.close();  // the one that the next request came on, first
      used_closed = true;
      return;
    }
    peer.close();
    both_closed.set_value();
  });
  Client& client = use();
  auto first = client.send_async(Request{.url = server.url()});
  ASSERT_TRUE(client.get(server.url()));
  ASSERT_TRUE(first.get());
  ASSERT_EQ(transport_->pool_snapshot().idle, 2u);
  std::stop_source stop;
  auto trace = std::make_shared<ClientTrace>();
  trace->wrote_request = [&](const HookContext&, const WroteRequestInfo&) { both_closed.get_future().wait(); };
  trace->retry = [&](const HookContext&, const RetryInfo&) { stop.request_stop(); };
  const auto result = client.send(Request{.url = server.url(), .stop = stop.get_token(), .trace = trace});
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code, Errc::cancelled);
  EXPECT_TRUE(hooks_.wait_for_count(EventKind::conn_closed, 2));
  EXPECT_EQ(transport_->pool_snapshot().open, 0u);
}

TEST_F(Races, WhatIsShownOfATurnIsWhatItHasDecided) {
  ScriptedServer server(answer_all);
  Client& client = use();
  std::atomic<int> live = 0;
  std::promise<void> shown;
  auto snapshot = std::make_shared<ClientTrace>();
  snapshot->live_request = [&](const HookContext&, const LiveRequestInfo&) { ++live; };
  auto trace = std::make_shared<ClientTrace>();
  trace->body_done = [&](const HookContext&, const BodyDoneInfo&) {
    transport_->publish_snapshot(snapshot, /*live=*/true, [&] { shown.set_value(); });
  };
  ASSERT_TRUE(client.send(Request{.url = server.url(), .trace = trace}));
  shown.get_future().wait();
  EXPECT_EQ(live, 0) << "it was over when the snapshot was made";
}

TEST_F(Races, FinBeforeTheRequestIsSentAndResetAfterIt) {
  std::promise<void> close;
  std::promise<void> gone;
  ScriptedServer server([&](Peer& peer, int connection) {
    if (connection > 0) return answer_all(peer, connection);
    if (peer.read_head()) peer.respond();
    close.get_future().wait();
    peer.close();
    gone.set_value();
  });
  Client& client = use();
  ASSERT_TRUE(client.get(server.url()));
  auto trace = std::make_shared<ClientTrace>();
  trace->got_conn = [&, first = true](const HookContext&, const GotConnInfo&) mutable {
    if (!std::exchange(first, false)) return;
    close.set_value();
    gone.get_future().wait();
  };
  const auto response = client.send(Request{.url = server.url(), .trace = trace});
  ASSERT_TRUE(response) << response.error().message();
  EXPECT_EQ(closed().reason, CloseReason::server_closed_idle);
  EXPECT_EQ(closed().by, ClosedBy::peer) << "the RST that answers the request leaves no TCP state to tell";
}

}  // namespace
}  // namespace conntrace::test
