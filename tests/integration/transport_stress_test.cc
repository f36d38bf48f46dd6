// SPDX-License-Identifier: Apache-2.0
#include <random>
#include <thread>

#include "integration/transport_fixture.h"

namespace conntrace::test {
namespace {

class TransportStress : public TransportTest {};

TEST_F(TransportStress, ManyThreadsOneClientBehindALimit) {
  ScriptedServer server(answer_all);
  Client& client = use({.max_idle_conns_per_host = 3, .max_conns_per_host = 3});
  // Would hang if a hook ran under a lock that these take.
  hooks_.in_each_hook([transport = transport_.get()] {
    EXPECT_LE(transport->pool_snapshot().open, 3u);
    transport->cancel(1'000'000);
  });
  std::atomic<int> good = 0;
  std::vector<std::thread> threads;
  for (int i = 0; i < 8; ++i) {
    threads.emplace_back([&] {
      for (int n = 0; n < 60; ++n) good += client.get(server.url()) ? 1 : 0;
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(good, 480);
  EXPECT_LE(server.connections(), 3);
  const PoolSnapshot pool = transport_->pool_snapshot();
  EXPECT_EQ(pool.open, pool.idle + pool.active + pool.dialling);
  EXPECT_EQ(pool.dials, pool.closed + pool.open);
  EXPECT_EQ(pool.waiting, 0u);
  EXPECT_EQ(hooks_.count(EventKind::queue_enter), hooks_.count(EventKind::queue_leave));
  for (const auto& leave : hooks_.all<EventKind::queue_leave>()) {
    double sum = leave.others_share;
    for (const Holder& holder : leave.holders) sum += holder.share;
    EXPECT_NEAR(sum, 1.0, 1e-9);
  }
}

TEST_F(TransportStress, ServersThatHangUpAndRequestsThatAreCancelled) {
  ScriptedServer server([](Peer& peer, int connection) {
    std::minstd_rand random(static_cast<unsigned>(connection) + 1);
    while (peer.read_head()) {
      switch (random() % 6) {
        case 0: peer.close(); return;
        case 1: peer.reset(); return;
        case 2: peer.respond("ok", "Connection: close\r\n"); return;
        case 3: peer.respond("last"); return;
        default: peer.respond("fine"); break;
      }
    }
  });
  Client& client =
      use({.max_idle_conns_per_host = 4, .max_conns_per_host = 6, .idle_conn_timeout = std::chrono::milliseconds(3)});
  std::atomic<int> ended = 0;
  std::vector<std::thread> threads;
  for (unsigned i = 0; i < 6; ++i) {
    threads.emplace_back([&, i] {
      std::minstd_rand random(i + 1);
      for (int n = 0; n < 80; ++n) {
        std::stop_source stop;
        Request request{.url = server.url(), .stop = stop.get_token()};
        if (random() % 8 == 0) request.timeout = std::chrono::microseconds(random() % 2000);
        auto result = client.send_async(std::move(request));
        if (random() % 8 == 0) stop.request_stop();
        (void)result.get();
        ++ended;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(ended, 480);
  client_.reset();
  transport_.reset();
  EXPECT_EQ(hooks_.count(EventKind::request_done), 480u);
  const auto closed = hooks_.count(EventKind::conn_closed);
  std::size_t made = 0;
  for (const auto& dial : hooks_.all<EventKind::dial_done>()) made += dial.error.empty() ? 1 : 0;
  EXPECT_EQ(closed, made) << "every connection that was made was closed";
  for (const auto& end : hooks_.all<EventKind::conn_closed>()) EXPECT_NE(end.reason, CloseReason::unknown);
}

TEST_F(TransportStress, CompletionsMaySend) {
  ScriptedServer server(answer_all);
  Client& client = use();
  std::promise<int> done;
  int left = 100;
  std::function<void(Result<Response>)> next = [&](const Result<Response>& result) {
    if (!result || --left == 0) {
      done.set_value(left);
      return;
    }
    client.send(Request{.url = server.url()}, next);
  };
  client.send(Request{.url = server.url()}, next);
  EXPECT_EQ(done.get_future().get(), 0);
  EXPECT_EQ(server.connections(), 1);
}

TEST_F(TransportStress, SnapshotOfWhatIsLive) {
  ScriptedServer server([](Peer& peer, int connection) {
    if (connection == 0) return answer_all(peer, 0);
    peer.read_to_end();
  });
  ScriptedServer silent([](Peer& peer, int) { peer.read_to_end(); });
  Client& client = use();
  ASSERT_TRUE(client.get(server.url()));
  auto hanging = client.send_async(Request{.url = silent.url("/hang")});
  ASSERT_TRUE(hooks_.wait_for_count(EventKind::wrote_request, 2));
  HookRecorder snapshot;
  std::promise<void> published;
  transport_->publish_snapshot(snapshot.trace(), true, [&] { published.set_value(); });
  published.get_future().wait();
  EXPECT_EQ(snapshot.count(EventKind::live_connection), 2u);
  ASSERT_EQ(snapshot.count(EventKind::live_request), 1u);
  EXPECT_EQ(snapshot.all<EventKind::live_request>().at(0).phase, Phase::wait);
  EXPECT_EQ(snapshot.all<EventKind::pool_snapshot>().at(0).active, 1u);
  transport_->cancel(2);
  EXPECT_FALSE(hanging.get());
}

}  // namespace
}  // namespace conntrace::test
