// SPDX-License-Identifier: Apache-2.0
// Go's tests of interim responses, framing and bad responses, asked of this client (docs/go-behaviours.md, 61 to 85).
#include <gmock/gmock.h>

#include <atomic>
#include <latch>

#include "conntrace/body_source.h"
#include "conntrace/pipe_body.h"
#include "integration/counting_body.h"
#include "integration/go_fixture.h"
#include "support/deadline.h"
#include "support/reserved_port.h"

namespace conntrace::test {
namespace {

using conntrace::testing::eventually;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

class GoFraming : public GoTest {
 protected:
  /// What the client makes of one response, after which the server ends.
  Result<Response> answer(const std::string& bytes) {
    ScriptedServer server([&](Peer& peer, int) {
      if (peer.read_head()) peer.write(bytes);
    });
    Client client(std::make_shared<Transport>());
    return client.get(server.url());
  }
};

TEST_F(GoFraming, NoSniffExpectRequestBody) {
  std::atomic<bool> more = false;
  ScriptedServer server([&](Peer& peer, int) {
    if (!peer.read_head()) return;
    peer.write("HTTP/1.1 417 Expectation Failed\r\nContent-Length: 0\r\n\r\n");
    more = !peer.read_bytes(1).empty();
  });
  Client& client = use({.expect_continue_timeout = std::chrono::hours(1)});
  const auto body = std::make_shared<CountingBody>("body", false);
  const auto response = client.send(
      Request{.method = "POST", .url = server.url(), .headers = {{"Expect", "100-continue"}}, .body_source = body});
  ASSERT_TRUE(response) << response.error().message();
  EXPECT_EQ(response->status, 417);
  EXPECT_EQ(body->reads, 0);
  EXPECT_EQ(body->closed, 1);
  EXPECT_EQ(close_reason(), CloseReason::request_not_sent);
  EXPECT_FALSE(more);
}

TEST_F(GoFraming, TransportReading100Continue) {
  ScriptedServer server([](Peer& peer, int) {
    for (int n = 1; peer.read_head(); ++n) {
      EXPECT_EQ(peer.read_bytes(4), "body");
      peer.write("HTTP/1.1 100 Continue\r\n\r\n");  // that nobody asked for
      peer.respond(std::to_string(n));
    }
  });
  Client& client = use();
  for (int n = 1; n <= 5; ++n) {
    const auto response = client.send(Request{.method = "POST", .url = server.url(), .body = "body"});
    ASSERT_TRUE(response) << response.error().message();
    EXPECT_EQ(response->status, 200);
    EXPECT_EQ(response->body, std::to_string(n));
  }
  EXPECT_EQ(server.connections(), 1);
  EXPECT_EQ(hooks_.count(EventKind::got_1xx_response), 5u);
  EXPECT_EQ(hooks_.count(EventKind::got_100_continue), 0u) << "nothing waited for it";
}

TEST_F(GoFraming, TransportIgnore1xxResponses) {
  ScriptedServer server([](Peer& peer, int) {
    while (peer.read_head()) {
      peer.write("HTTP/1.1 123 OneTwoThree\r\nFoo: bar\r\n\r\n");
      peer.respond("Hello", "Bar: baz\r\n");
    }
  });
  Client& client = use();
  for (int n = 0; n < 2; ++n) {
    const auto response = client.get(server.url());
    ASSERT_TRUE(response) << response.error().message();
    EXPECT_EQ(response->body, "Hello");
    EXPECT_EQ(find_header(response->headers, "Foo"), nullptr);
    EXPECT_NE(find_header(response->headers, "Bar"), nullptr);
  }
  EXPECT_EQ(server.connections(), 1);
  EXPECT_EQ(hooks_.all<EventKind::got_1xx_response>().at(0).code, 123);
}

TEST_F(GoFraming, EarlyHintsRequest) {
  ScriptedServer server([](Peer& peer, int) {
    if (!peer.read_head()) return;
    peer.write("HTTP/1.1 103 Early Hints\r\nLink: </style.css>\r\n\r\n");
    peer.write("HTTP/1.1 103 Early Hints\r\nLink: </style.css>\r\nLink: </script.js>\r\n\r\n");
    peer.respond("Hello", "Link: </style.css>\r\nLink: </script.js>\r\nLink: </foo.js>\r\n");
    peer.read_to_end();
  });
  std::vector<std::size_t> links;
  auto trace = std::make_shared<ClientTrace>();
  trace->got_1xx_response = [&](const HookContext&, const Got1xxResponseInfo& info) {
    links.push_back(static_cast<std::size_t>(std::count_if(info.headers->begin(), info.headers->end(),
                                                           [](const auto& field) { return field.first == "Link"; })));
    return std::error_code();
  };
  Request request{.url = server.url()};
  request.trace = trace;
  const auto response = use().send(request);
  ASSERT_TRUE(response);
  EXPECT_EQ(response->body, "Hello");
  EXPECT_THAT(links, ElementsAre(1, 2));
  std::vector<int> codes;
  for (const auto& interim : hooks_.all<EventKind::got_1xx_response>()) codes.push_back(interim.code);
  EXPECT_THAT(codes, ElementsAre(103, 103));
  EXPECT_EQ(std::count_if(response->headers.begin(), response->headers.end(),
                          [](const auto& field) { return field.first == "Link"; }),
            3);
}

TEST_F(GoFraming, TransportTreat101Terminal) {
  ScriptedServer server([](Peer& peer, int) {
    if (!peer.read_head()) return;
    peer.write("HTTP/1.1 101 Switching Protocols\r\nUpgrade: foo\r\nConnection: Upgrade\r\n\r\nbytes of foo");
    peer.read_to_end();
  });
  Client& client = use();
  const auto response = client.get(server.url());  // it did not ask for foo
  ASSERT_TRUE(response) << response.error().message();
  EXPECT_EQ(response->status, 101);
  EXPECT_EQ(response->body, "") << "another protocol's bytes are no body";
  EXPECT_EQ(hooks_.count(EventKind::got_1xx_response), 0u);
  EXPECT_EQ(close_reason(), CloseReason::connection_close_response);
}

/// Writes to a tunnel and expects the same, in capitals, back.
void converse(PipeBody& pipe, BodyReader& reader) {
  ASSERT_TRUE(pipe.write("body"));
  std::string back(4, '\0');
  for (std::size_t at = 0; at < back.size();) {
    const auto got = reader.read(back.data() + at, back.size() - at);
    ASSERT_TRUE(got && *got > 0);
    at += *got;
  }
  EXPECT_EQ(back, "BODY");
}

TEST_F(GoFraming, TransportResponseBodyWritableOnProtocolSwitch) {
  ScriptedServer server([](Peer& peer, int) {
    if (!peer.read_head()) return;
    peer.write("HTTP/1.1 101 Switching Protocols\r\nUpgrade: foo\r\nConnection: Upgrade\r\n\r\nSome buffered data\n");
    EXPECT_EQ(peer.read_bytes(4), "body");
    peer.write("BODY");
    peer.read_to_end();
  });
  auto pipe = std::make_shared<PipeBody>();
  auto opened = use().open(
      {.url = server.url(), .headers = {{"Connection", "upgrade"}, {"Upgrade", "foo"}}, .body_source = pipe});
  ASSERT_TRUE(opened) << opened.error().message();
  EXPECT_EQ(opened->head.status, 101);
  std::string line;
  for (char byte = 0; byte != '\n'; line += byte) ASSERT_EQ(opened->body.read(&byte, 1), 1u);
  EXPECT_EQ(line, "Some buffered data\n");
  converse(*pipe, opened->body);
}

TEST_F(GoFraming, TransportCONNECTBidi) {
  constexpr int kTunnels = 3;
  ScriptedServer server([](Peer& peer, int) {
    EXPECT_THAT(peer.read_head().value_or(""), ::testing::StartsWith("CONNECT foo.com:443 HTTP/1.1\r\n"));
    peer.write("HTTP/1.1 200 OK\r\n\r\n");
    EXPECT_EQ(peer.read_bytes(4), "body");
    peer.write("BODY");
    peer.read_to_end();
  });
  Client& client = use();
  for (int n = 0; n < kTunnels; ++n) {
    auto pipe = std::make_shared<PipeBody>();
    auto opened = client.open(
        {.method = "CONNECT", .url = server.url(), .headers = {{"Host", "foo.com:443"}}, .body_source = pipe});
    ASSERT_TRUE(opened) << opened.error().message();
    converse(*pipe, opened->body);
  }
  EXPECT_EQ(server.connections(), kTunnels);
}

TEST_F(GoFraming, Issue3644) {
  const std::string body(1 << 20, 'f');
  ScriptedServer server([&](Peer& peer, int) {
    if (peer.read_head()) peer.write("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n" + body);
  });
  const auto response = use().get(server.url());
  ASSERT_TRUE(response);
  EXPECT_EQ(response->body, body);
}

TEST_F(GoFraming, TransportNoReuseAfterEarlyResponse) {
  ScriptedServer server([](Peer& peer, int connection) {
    if (connection > 0) return answer_all(peer, 0);
    if (!peer.read_head()) return;
    peer.respond("foo");
    peer.read_to_end();
  });
  Client& client = use();
  auto pipe = std::make_shared<PipeBody>();
  const auto early = client.send(Request{.method = "POST", .url = server.url(), .body_source = pipe});
  ASSERT_TRUE(early) << "although the upload was not finished";
  EXPECT_EQ(early->body, "foo");
  EXPECT_FALSE(pipe->write("more"));
  EXPECT_EQ(close_reason(), CloseReason::request_not_sent);
  ASSERT_TRUE(client.get(server.url()));
  EXPECT_EQ(connections(), (std::vector<ConnectionId>{1, 2}));
}

TEST_F(GoFraming, TransportResponseHeaderLength) {
  ScriptedServer server([](Peer& peer, int) {
    while (const auto head = peer.read_head()) {
      peer.respond("ok", head->starts_with("GET /long") ? "Long: " + std::string(1 << 20, 'a') + "\r\n" : "");
    }
  });
  Client& client = use({.max_response_header_bytes = 512 << 10});
  ASSERT_TRUE(client.get(server.url()));
  const auto result = client.get(server.url("/long"));
  expect_error(result, Errc::header_too_large, Phase::receive);
  EXPECT_THAT(result.error().message(), HasSubstr("524288"));
}

TEST_F(GoFraming, InvalidHeaderResponse) {
  const auto result = answer("HTTP/1.1 200 OK\r\nFoo : bar\r\nContent-Length: 0\r\n\r\n");
  expect_error(result, Errc::protocol_error, Phase::receive);
  EXPECT_THAT(result.error().message(), HasSubstr("white space before the colon"));
}

TEST_F(GoFraming, BadResponseAfterReadingBody) {
  ScriptedServer server([](Peer& peer, int) {
    if (!peer.read_head()) return;
    EXPECT_EQ(peer.read_bytes(3), "foo");
    peer.write("some crap\r\n\r\n");
  });
  const auto body = std::make_shared<CountingBody>("foo", true);
  const auto result = use().send(Request{.method = "POST", .url = server.url(), .body_source = body});
  expect_error(result, Errc::protocol_error, Phase::receive);
  EXPECT_EQ(body->closed, 1);
}

TEST_F(GoFraming, TransportFlushesBodyChunks) {
  std::latch seen[] = {std::latch(1), std::latch(1), std::latch(1)};
  ScriptedServer server([&](Peer& peer, int) {
    if (!peer.read_head()) return;
    for (std::latch& chunk : seen) {
      EXPECT_EQ(peer.read_bytes(8), "3\r\nabc\r\n");
      chunk.count_down();
    }
    EXPECT_EQ(peer.read_bytes(5), "0\r\n\r\n");
    peer.respond();
  });
  auto pipe = std::make_shared<PipeBody>();
  auto response = use().send_async(Request{.method = "POST", .url = server.url(), .body_source = pipe});
  for (std::latch& chunk : seen) {
    ASSERT_TRUE(pipe->write("abc"));
    chunk.wait();  // it arrived before there was more
  }
  pipe->finish();
  EXPECT_TRUE(response.get());
}

TEST_F(GoFraming, TransportFlushesRequestHeader) {
  std::latch got_head(1);
  ScriptedServer server([&](Peer& peer, int) {
    if (!peer.read_head()) return;
    got_head.count_down();
    EXPECT_EQ(peer.read_bytes(4), "body");
    peer.respond();
  });
  auto pipe = std::make_shared<PipeBody>(4);
  auto response = use().send_async(Request{.method = "POST", .url = server.url(), .body_source = pipe});
  got_head.wait();
  ASSERT_TRUE(pipe->write("body"));
  pipe->finish();
  EXPECT_TRUE(response.get());
}

TEST_F(GoFraming, ProbeZeroLengthBody) {
  ScriptedServer server([](Peer& peer, int) {
    const std::string head = peer.read_head().value_or("");
    EXPECT_THAT(head, HasSubstr("Transfer-Encoding: chunked\r\n"));
    peer.respond();
    peer.read_to_end();
  });
  auto silent = std::make_shared<PipeBody>();  // of unknown length, and without a byte
  const auto response = use().send(Request{.url = server.url(), .body_source = silent});
  EXPECT_TRUE(response) << response.error().message();
}

TEST_F(GoFraming, IdentityTransferEncoding) {
  ScriptedServer server([](Peer& peer, int) {
    if (!peer.read_head()) return;
    EXPECT_EQ(peer.read_bytes(4), "body");
    peer.write("HTTP/1.1 200 OK\r\n\r\nbody");  // what Go's server makes of Transfer-Encoding: identity
  });
  const auto response = use().send(Request{.url = server.url(), .body = "body"});
  ASSERT_TRUE(response) << response.error().message();
  EXPECT_EQ(response->body, "body");
  const auto literal = answer("HTTP/1.1 200 OK\r\nTransfer-Encoding: identity\r\n\r\nbody");
  ASSERT_TRUE(literal) << literal.error().message();
  EXPECT_EQ(literal->body, "body");
}

TEST_F(GoFraming, TransportRejectsInvalidHeaders) {
  struct Row {
    std::string name;
    std::string value;
    bool good;
  };
  ScriptedServer server(answer_all);
  Client& client = use();
  for (const Row& row : {Row{"Foo", "capital-key", true},
                         Row{"Foo",
                             "foo\x00"
                             "bar" +
                                 std::string(1, '\0'),
                             false},
                         Row{"Foo", "two\nlines", false}, Row{"bogus\nkey", "v", false}, Row{"A space", "v", false},
                         Row{"имя", "v", false}, Row{"name", "валю", true}, Row{"", "v", false}, Row{"k", "", true}}) {
    const auto result = client.send(Request{.url = server.url(), .headers = {{row.name, row.value}}});
    EXPECT_EQ(result.has_value(), row.good) << row.name << ": " << row.value;
    EXPECT_TRUE(result || result.error().code == Errc::invalid_request);
  }
  EXPECT_EQ(hooks_.count(EventKind::get_conn), 3u) << "none that was refused was looked a connection for";
}

TEST_F(GoFraming, ValidateClientRequestTrailers) {
  ScriptedServer server(answer_all);
  const auto result = use().send(Request{.method = "POST", .url = server.url(), .headers = {{"Trailer", "X"}}});
  expect_error(result, Errc::invalid_request, Phase::none);
  EXPECT_EQ(server.connections(), 0);
}

TEST_F(GoFraming, TransportClosesRequestBody) {
  ScriptedServer fine([](Peer& peer, int) {
    while (peer.read_head()) {
      (void)peer.read_bytes(3);
      peer.respond();
    }
  });
  ScriptedServer hangs_up([](Peer& peer, int) { (void)peer.read_head(); });
  const ReservedPort nobody;
  struct Row {
    const char* method;
    std::string url;
    bool good;
  };
  Client& client = use();
  for (const Row& row :
       {Row{"POST", fine.url(), true}, Row{"GET", fine.url(), true}, Row{"POST", hangs_up.url(), false},
        Row{"POST", nobody.url(), false}, Row{" ", fine.url(), false}, Row{"POST", "http://", false},
        Row{"POST", "ftp://127.0.0.1/", false}, Row{"POST", "http://127.0.0.1:x/", false}}) {
    const auto body = std::make_shared<CountingBody>("foo", true);
    const auto result = client.send(Request{.method = row.method, .url = row.url, .body_source = body});
    EXPECT_EQ(result.has_value(), row.good) << row.method << ' ' << row.url;
    EXPECT_EQ(body->closed, 1) << row.method << ' ' << row.url;
  }
  std::stop_source stop;
  stop.request_stop();
  const auto body = std::make_shared<CountingBody>("foo", true);
  EXPECT_FALSE(
      client.send(Request{.method = "POST", .url = fine.url(), .body_source = body, .stop = stop.get_token()}));
  EXPECT_EQ(body->closed, 1);
}

TEST_F(GoFraming, TransportNoHostAlphaPortEmptyMethod) {
  Client& client = use();
  for (const char* url : {"http:", "http://", "http:///path", "http://127.0.0.1:foo/", "http://127.0.0.1:123foo/"}) {
    expect_error(client.get(url), Errc::invalid_request, Phase::none);
  }
  expect_error(client.send(Request{.method = "", .url = "http://127.0.0.1/"}), Errc::invalid_request, Phase::none);
  EXPECT_EQ(Request{}.method, "GET");
  EXPECT_EQ(hooks_.count(EventKind::get_conn), 0u);
}

}  // namespace
}  // namespace conntrace::test
