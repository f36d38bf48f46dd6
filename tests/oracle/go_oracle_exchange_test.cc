// SPDX-License-Identifier: Apache-2.0
// Requests and responses of every shape, as Go's Client and Transport have them. docs/go.md has these scenarios in a
// table.
#include "oracle/comparison.h"

namespace conntrace::test {
namespace {

using std::chrono::milliseconds;

/// Answers every request with these bytes.
ScriptedServer::Script says(std::string response) {
  return [response = std::move(response)](Peer& peer, int) {
    while (peer.read_head()) peer.write(response);
  };
}

/// Answers every request with these bytes, and ends then.
ScriptedServer::Script says_once(std::string response) {
  return [response = std::move(response)](Peer& peer, int) {
    if (peer.read_head()) peer.write(response);
  };
}

TEST_F(GoOracle, Redirect) {
  compare([](Stage& stage) {
    const Served server(stage, [](Peer& peer, int) {
      while (const auto head = peer.read_head()) {
        if (head->starts_with("GET /to ")) {
          peer.respond();
        } else {
          peer.write("HTTP/1.1 302 Found\r\nLocation: /to\r\nContent-Length: 5\r\n\r\nthere");
        }
      }
    });
    stage.use().get(1, server.url("/from"));
  });
}

TEST_F(GoOracle, RedirectToAnotherServer) {
  compare([](Stage& stage) {
    const Served b(stage, answer_all);
    const Served a(stage, says("HTTP/1.1 307 T\r\nLocation: " + b.url("/to") + "\r\nContent-Length: 0\r\n\r\n"));
    Player& client = stage.use();
    client.start(1, Request{.method = "POST", .url = a.url(), .headers = {{"Accept", "*/*"}}, .body = "again"});
    client.await_done(1);
  });
}

TEST_F(GoOracle, Continue) {
  // The body fits into no buffer, so that wrote_request cannot come before the server reads it.
  const std::string body(16u << 20, 'x');
  compare([&](Stage& stage) {
    Gate go_on;
    Gate read;
    Gate answer;
    const Served server(stage, [&](Peer& peer, int) {
      if (!peer.read_head()) return;
      go_on.wait();
      peer.write("HTTP/1.1 100 Continue\r\n\r\n");
      read.wait();
      (void)peer.read_bytes(body.size());
      answer.wait();  // Go's body may be read before it calls WroteRequest
      peer.respond();
      answer_all(peer, 0);
    });
    Player& client = stage.use({.expect_continue_timeout = std::chrono::minutes(1)});
    client.start(1,
                 Request{.method = "POST", .url = server.url(), .headers = {{"Expect", "100-continue"}}, .body = body});
    client.await(1, "wait_100_continue");
    go_on.open();
    client.await(1, "got_1xx_response");
    read.open();
    client.await(1, "wrote_request");
    answer.open();
    client.await_done(1);
    client.get(2, server.url());
  });
}

TEST_F(GoOracle, ContinueDoesNotCome) {
  compare([](Stage& stage) {
    Gate answer;
    const Served server(stage, [&](Peer& peer, int) {
      if (!peer.read_head()) return;
      (void)peer.read_bytes(4);
      answer.wait();  // Go's body may be read before it calls WroteRequest
      peer.respond();
      answer_all(peer, 0);
    });
    Player& client = stage.use({.expect_continue_timeout = milliseconds(20)});
    client.start(
        1, Request{.method = "POST", .url = server.url(), .headers = {{"Expect", "100-continue"}}, .body = "body"});
    client.await(1, "wrote_request");
    answer.open();
    client.await_done(1);
  });
}

TEST_F(GoOracle, EarlyHints) {
  compare([](Stage& stage) {
    const Served server(stage, says("HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 103 Early Hints\r\n\r\n"
                                    "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"));
    stage.use().get(1, server.url());
  });
}

TEST_F(GoOracle, UnaskedContinue) {
  compare([](Stage& stage) {
    const Served server(stage, says("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"));
    stage.use().get(1, server.url());
  });
}

TEST_F(GoOracle, Head) {
  compare([](Stage& stage) {
    const Served server(stage, says("HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n"));
    Player& client = stage.use();
    for (int number : {1, 2}) {
      client.start(number, Request{.method = "HEAD", .url = server.url()});
      client.await_done(number);
    }
  });
}

TEST_F(GoOracle, NoContent) {
  compare([](Stage& stage) {
    const Served server(stage, says("HTTP/1.1 204 No Content\r\n\r\n"));
    Player& client = stage.use();
    client.get(1, server.url());
    client.get(2, server.url());
  });
}

TEST_F(GoOracle, Chunked) {
  compare([](Stage& stage) {
    const Served server(stage, says("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
                                    "2\r\nch\r\n4\r\nunks\r\n0\r\nX-Trailer: 1\r\n\r\n"));
    Player& client = stage.use();
    client.get(1, server.url());
    client.get(2, server.url());
  });
}

TEST_F(GoOracle, UntilTheConnectionEnds) {
  compare([](Stage& stage) {
    const Served server(stage, says_once("HTTP/1.1 200 OK\r\n\r\nall"));
    Player& client = stage.use();
    client.get(1, server.url());
    client.get(2, server.url());
  });
}

TEST_F(GoOracle, TruncatedBody) {
  compare([](Stage& stage) {
    const Served server(stage, says_once("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nfour"));
    Player& client = stage.use();
    client.get(1, server.url());
    client.get(2, server.url());
  });
}

TEST_F(GoOracle, TruncatedChunks) {
  compare([](Stage& stage) {
    const Served server(stage, says_once("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nfour\r\n"));
    stage.use().get(1, server.url());
  });
}

TEST_F(GoOracle, NoResponse) {
  compare([](Stage& stage) {
    const Served server(stage, says_once(""));
    stage.use().get(1, server.url());
  });
}

TEST_F(GoOracle, ConnectionClose) {
  compare([](Stage& stage) {
    const Served server(stage, says("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok"));
    Player& client = stage.use();
    client.get(1, server.url());
    client.get(2, server.url());
  });
}

TEST_F(GoOracle, HeaderFields) {
  compare(
      [](Stage& stage) {
        const Served server(stage, [](Peer& peer, int) {
          while (peer.read_head()) {
            (void)peer.read_bytes(4);
            peer.respond();
          }
        });
        Player& client = stage.use();
        client.start(1, Request{.method = "POST",
                                .url = server.url("/p?q=1"),
                                .headers = {{"X-One", "1"}, {"Accept", "*/*"}},
                                .body = "body"});
        client.await_done(1);
      },
      {.differences = {{1,
                        {"wrote_header_field Accept: */*", "wrote_header_field X-One: 1"},
                        {"wrote_header_field X-One: 1", "wrote_header_field Accept: */*"},
                        "Go keeps fields in a map, and sorts them; ours keep the application's order"}}});
}

}  // namespace
}  // namespace conntrace::test

int main(int argc, char** argv) { return conntrace::test::run_with_oracle(argc, argv); }
