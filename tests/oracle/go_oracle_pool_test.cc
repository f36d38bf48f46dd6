// SPDX-License-Identifier: Apache-2.0
// Which request gets which connection, as Go's Transport has it. docs/go.md has these scenarios in a table.
#include "oracle/comparison.h"

namespace conntrace::test {
namespace {

using std::chrono::milliseconds;

/// The first request on a connection is answered when the gate opens, later ones at once.
ScriptedServer::Script held_behind(std::vector<Gate*> gates) {
  return [gates = std::move(gates)](Peer& peer, int connection) {
    if (!peer.read_head()) return;
    if (connection < static_cast<int>(gates.size())) gates[static_cast<std::size_t>(connection)]->wait();
    peer.respond();
    answer_all(peer, connection);
  };
}

/// Returns when the first request is sent and the second waits for its connection.
void queue_second_behind_first(Player& client, const std::string& url) {
  client.start(1, Request{.url = url});
  client.await(1, "wrote_request");
  client.start(2, Request{.url = url});
  client.await_look("the second request waits", [](const Look& look) { return look.waiting == 1; });
}

TEST_F(GoOracle, Fresh) {
  compare([](Stage& stage) {
    const Served server(stage, answer_all);
    stage.use().get(1, server.url());
  });
}

TEST_F(GoOracle, Reused) {
  compare([](Stage& stage) {
    const Served server(stage, answer_all);
    Player& client = stage.use();
    client.get(1, server.url());
    client.get(2, server.url());
  });
}

TEST_F(GoOracle, QueuedBehindMaxConnsPerHost) {
  compare([](Stage& stage) {
    Gate answer;
    const Served server(stage, held_behind({&answer}));
    Player& client = stage.use({.max_conns_per_host = 1});
    queue_second_behind_first(client, server.url());
    answer.open();
    client.await_done(1);
    client.await_done(2);
  });
}

TEST_F(GoOracle, QueuedAndTheConnectionCloses) {
  compare([](Stage& stage) {
    Gate answer;
    const Served server(stage, [&](Peer& peer, int) {
      if (!peer.read_head()) return;
      answer.wait();
      peer.respond("ok", "Connection: close\r\n");
      peer.read_to_end();
    });
    Player& client = stage.use({.max_conns_per_host = 1});
    queue_second_behind_first(client, server.url());
    answer.open();
    client.await_done(1);
    client.await_done(2);
  });
}

TEST_F(GoOracle, CancelledInTheQueue) {
  compare([](Stage& stage) {
    Gate answer;
    const Served server(stage, held_behind({&answer}));
    Player& client = stage.use({.max_conns_per_host = 1});
    queue_second_behind_first(client, server.url());
    client.cancel(2);
    client.await_done(2);
    answer.open();
    client.await_done(1);
  });
}

TEST_F(GoOracle, LateBinding) {
  compare(
      [](Stage& stage) {
        Gate answer;
        Gate shake_hands;
        ScriptedServer behind([&](Peer& peer, int connection) { held_behind({&answer})(peer, connection); }, true);
        const Served server(stage, [&](Peer& peer, int connection) {
          if (connection == 1) shake_hands.wait();
          peer.splice(behind.port());
        });
        TransportOptions options;
        options.tls.ca_file = behind.certificate_file();
        Player& client = stage.use(options);
        std::string url = server.url();
        url.replace(0, 4, "https");
        client.start(1, Request{.url = url});
        client.await(1, "wrote_request");
        client.start(2, Request{.url = url});
        client.await(2, "tls_handshake_start");
        answer.open();
        client.await_done(1);
        client.await_done(2);
        shake_hands.open();
        client.await_look("the second dial is in the pool", [](const Look& look) { return look.dialling == 0; });
        client.get(3, url);
      },
      {.differences = {{2,
                        {"done 200 ok \"ok\"", "tls_handshake_done ok TLSv1.3"},
                        {"done 200 ok \"ok\""},
                        "no hook of a request runs after its request_done; what its dial does later is told to the "
                        "transport's trace"},
                       {0,
                        {},
                        {"tls_handshake_done ok TLSv1.3", "put_idle_conn ok"},
                        "the transport's trace, which Go has not: it is told of a dial that nobody waits for, and that "
                        "it was pooled"},
                       {3,
                        {"got_conn 2 reused=true was_idle=true idle_time=true"},
                        {"got_conn 2 reused=false was_idle=true idle_time=true"},
                        "Go calls a connection reused that was idle but never carried a request"}}});
}

TEST_F(GoOracle, MaxIdleConnsPerHost) {
  compare([](Stage& stage) {
    Gate first;
    Gate second;
    const Served server(stage, held_behind({&first, &second}));
    Player& client = stage.use({.max_idle_conns_per_host = 1});
    client.start(1, Request{.url = server.url()});
    client.await(1, "wrote_request");
    client.start(2, Request{.url = server.url()});
    client.await(2, "wrote_request");
    first.open();
    client.await_done(1);
    second.open();
    client.await_done(2);
    client.get(3, server.url());
  });
}

TEST_F(GoOracle, LeastRecentlyUsedIsTheVictimOfMaxIdleConns) {
  compare([](Stage& stage) {
    Gate ended;
    const Served a(stage, [&](Peer& peer, int connection) {
      answer_all(peer, connection);
      if (connection == 0) ended.open();
    });
    const Served b(stage, answer_all);
    Player& client = stage.use({.max_idle_conns = 1});
    client.get(1, a.url());
    client.get(2, b.url());
    ended.await("the end of the first connection");
    client.get(3, b.url());
    client.get(4, a.url());
  });
}

TEST_F(GoOracle, IdleTimeout) {
  compare([](Stage& stage) {
    Gate ended;
    const Served server(stage, [&](Peer& peer, int connection) {
      answer_all(peer, connection);
      if (connection == 0) ended.open();
    });
    Player& client = stage.use({.idle_conn_timeout = milliseconds(50)});
    client.get(1, server.url());
    ended.await("the end of the first connection");
    client.get(2, server.url());
  });
}

TEST_F(GoOracle, ServerClosesWhileIdle) {
  compare([](Stage& stage) {
    Gate end;
    const Served server(stage, [&](Peer& peer, int connection) {
      if (connection > 0) return answer_all(peer, connection);
      if (!peer.read_head()) return;
      peer.respond();
      end.wait();
    });
    Player& client = stage.use();
    client.get(1, server.url());
    end.open();
    client.await_look("it has seen the end", [](const Look& look) { return look.open == 0; });
    client.get(2, server.url());
  });
}

/// Answers once, and ends when the next request has come: what no client can see in time.
void ends_at_the_second_request(Peer& peer, int connection) {
  if (!peer.read_head()) return;
  peer.respond();
  if (connection > 0) answer_all(peer, connection);
  const auto head = peer.read_head();
  if (head && head->starts_with("POST")) (void)peer.read_bytes(1);  // what is left unread would make an RST of the end
}

TEST_F(GoOracle, StaleRetry) {
  compare([](Stage& stage) {
    const Served server(stage, ends_at_the_second_request);
    Player& client = stage.use();
    client.get(1, server.url());
    client.get(2, server.url());
  });
}

TEST_F(GoOracle, StalePostIsNotRetried) {
  compare([](Stage& stage) {
    const Served server(stage, ends_at_the_second_request);
    Player& client = stage.use();
    client.get(1, server.url());
    client.start(2, Request{.method = "POST", .url = server.url(), .body = "x"});
    client.await_done(2);
  });
}

TEST_F(GoOracle, CloseIdleConnectionsDuringARequest) {
  compare([](Stage& stage) {
    Gate answer;
    const Served server(stage, held_behind({&answer}));
    Player& client = stage.use();
    client.start(1, Request{.url = server.url()});
    client.await(1, "wrote_request");
    client.close_idle_connections();
    (void)client.look();  // it is done when this is answered
    answer.open();
    client.await_done(1);
    client.get(2, server.url());
    client.get(3, server.url());
  });
}

TEST_F(GoOracle, DisableKeepAlives) {
  compare([](Stage& stage) {
    const Served server(stage, answer_all);
    Player& client = stage.use({.disable_keep_alives = true});
    client.get(1, server.url());
    client.get(2, server.url());
  });
}

}  // namespace
}  // namespace conntrace::test

int main(int argc, char** argv) { return conntrace::test::run_with_oracle(argc, argv); }
