// SPDX-License-Identifier: Apache-2.0
// Go's tests of what is sent again, and of connections that end instead of answering, asked of this client
// (docs/go-behaviours.md, 53 to 59).
#include <gmock/gmock.h>
#include <poll.h>

#include <atomic>
#include <latch>

#include "integration/counting_body.h"
#include "integration/go_fixture.h"

namespace conntrace::test {
namespace {

using ::testing::AnyOf;
using ::testing::Eq;

/// How a connection that was used before ends under its second request.
enum class End {
  fin_after_request,
  rst_after_request,
  rst_before_request,  ///< no byte of it can be written
};

class GoRetries : public GoTest {
 protected:
  struct Outcome {
    bool retried = false;
    bool succeeded = false;
    int connections = 0;
    std::string bodies;  ///< what arrived on the second connection
  };

  /// One GET on a connection, then `request`, under which that connection ends.
  Outcome second_request(End end, Request request) {
    std::promise<void> reset_now;
    Outcome outcome;
    {
      ScriptedServer server([&](Peer& peer, int connection) {
        while (const auto head = peer.read_head()) {
          if (connection > 0) {
            if (head->find("Content-Length: 3\r\n") != std::string::npos) outcome.bodies += peer.read_bytes(3);
            peer.respond();
            continue;
          }
          peer.respond();
          if (end == End::rst_before_request) {
            reset_now.get_future().wait();
            return peer.reset();
          }
          if (!peer.read_head()) return;
          return end == End::fin_after_request ? peer.close() : peer.reset();
        }
      });
      HookRecorder hooks;
      Client client(std::make_shared<Transport>(TransportOptions{.trace = hooks.trace()}));
      EXPECT_TRUE(client.get(server.url()));
      auto trace = std::make_shared<ClientTrace>();
      if (end == End::rst_before_request) {
        // The connection was chosen and nothing is written yet: now it breaks.
        trace->got_conn = [&, first = true](const HookContext&, const GotConnInfo& got) mutable {
          if (!std::exchange(first, false)) return;
          reset_now.set_value();
          pollfd wait{.fd = got.fd, .events = POLLRDHUP, .revents = 0};
          EXPECT_EQ(poll(&wait, 1, 10'000), 1);
        };
      }
      request.url = server.url();
      request.trace = trace;
      outcome.succeeded = client.send(std::move(request)).has_value();
      outcome.retried = hooks.count(EventKind::retry) == 1;
      outcome.connections = server.connections();
      EXPECT_EQ(outcome.retried, outcome.succeeded);
      EXPECT_EQ(outcome.connections, outcome.retried ? 2 : 1);
    }
    return outcome;
  }
};

TEST_F(GoRetries, RetryRequestsOnError) {
  // Bytes were written: only what may be repeated.
  EXPECT_TRUE(second_request(End::fin_after_request, {.method = "GET"}).retried);
  const auto rewound = std::make_shared<CountingBody>("foo", true);
  const Outcome body = second_request(End::fin_after_request, {.method = "GET", .body_source = rewound});
  EXPECT_TRUE(body.retried);
  EXPECT_EQ(body.bodies, "foo");
  EXPECT_EQ(rewound->closed, 1);
  // None was: every request.
  EXPECT_TRUE(second_request(End::rst_before_request, {.method = "POST"}).retried);
  const auto post = std::make_shared<CountingBody>("foo", true);
  const Outcome posted = second_request(End::rst_before_request, {.method = "POST", .body_source = post});
  EXPECT_TRUE(posted.retried);
  EXPECT_EQ(posted.bodies, "foo");
  EXPECT_EQ(post->closed, 1);
}

TEST_F(GoRetries, TransportShouldRetryRequest) {
  struct Row {
    End end;
    const char* method;
    bool retried;
  };
  for (const Row& row : {Row{End::fin_after_request, "GET", true}, Row{End::fin_after_request, "POST", false},
                         Row{End::rst_after_request, "GET", true}, Row{End::rst_after_request, "POST", false},
                         Row{End::rst_before_request, "GET", true}, Row{End::rst_before_request, "POST", true}}) {
    EXPECT_EQ(second_request(row.end, {.method = row.method}).retried, row.retried)
        << row.method << ' ' << static_cast<int>(row.end);
  }
  // A fresh connection: never, whatever the request is.
  ScriptedServer server([](Peer& peer, int) { (void)peer.read_head(); });
  EXPECT_FALSE(use().get(server.url()));
  EXPECT_EQ(server.connections(), 1);
  // The response has begun: never.
  ScriptedServer begun([](Peer& peer, int) {
    if (peer.read_head()) peer.respond();
    if (peer.read_head()) peer.write("HTTP/1.1 2");
  });
  ASSERT_TRUE(client_->get(begun.url()));
  EXPECT_FALSE(client_->get(begun.url()));
  EXPECT_EQ(begun.connections(), 1);
}

TEST_F(GoRetries, TransportRequestReplayable) {
  for (const char* method : {"GET", "HEAD", "OPTIONS", "TRACE", "QUERY"}) {
    EXPECT_TRUE(second_request(End::fin_after_request, {.method = method}).retried) << method;
  }
  for (const char* method : {"POST", "PUT", "DELETE", "PATCH", "get"}) {
    EXPECT_FALSE(second_request(End::fin_after_request, {.method = method}).retried) << method;
    for (const char* key : {"Idempotency-Key", "X-Idempotency-Key", "idempotency-key"}) {
      EXPECT_TRUE(second_request(End::fin_after_request, {.method = method, .headers = {{key, "1"}}}).retried) << key;
    }
  }
  const auto once = std::make_shared<CountingBody>("foo", false);
  EXPECT_FALSE(second_request(End::fin_after_request, {.method = "GET", .body_source = once}).retried);
}

TEST_F(GoRetries, ConnClosedBeforeRequestIsWritten) {
  std::promise<void> reset_now;
  ScriptedServer server([&](Peer& peer, int) {
    reset_now.get_future().wait();
    peer.reset();
  });
  Client& client = use();
  auto trace = std::make_shared<ClientTrace>();
  trace->got_conn = [&](const HookContext&, const GotConnInfo& got) {
    reset_now.set_value();
    pollfd wait{.fd = got.fd, .events = POLLRDHUP, .revents = 0};
    EXPECT_EQ(poll(&wait, 1, 10'000), 1);
  };
  const auto body = std::make_shared<CountingBody>("foo", true);
  const auto result = client.send(Request{.method = "POST", .url = server.url(), .body_source = body, .trace = trace});
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code, std::errc::connection_reset) << result.error().message();
  EXPECT_EQ(result.error().phase, Phase::send);
  EXPECT_EQ(close_reason(), CloseReason::write_error);
  EXPECT_EQ(body->closed, 1);
  EXPECT_EQ(hooks_.count(EventKind::retry), 0u);
}

TEST_F(GoRetries, TransportPersistConnReadLoopEOF) {
  ScriptedServer server([](Peer& peer, int) { peer.close(); });
  Client& client = use();
  const auto result = client.get(server.url());
  ASSERT_FALSE(result);
  // Which of them depends on what the kernel saw first.
  EXPECT_THAT(result.error().code, AnyOf(Eq(make_error_code(Errc::closed_before_response)),
                                         Eq(std::error_code(ECONNRESET, std::system_category())),
                                         Eq(std::error_code(EPIPE, std::system_category()))))
      << result.error().message();
  EXPECT_THAT(close_reason(), AnyOf(CloseReason::read_error, CloseReason::write_error));
}

TEST_F(GoRetries, TransportReturnsPeekError) {
  ScriptedServer server([](Peer& peer, int) {
    if (peer.read_head()) peer.reset();
  });
  Client& client = use();
  expect_error(client.get(server.url()), std::error_code(ECONNRESET, std::system_category()), Phase::wait);
  EXPECT_EQ(closed().error_number, ECONNRESET);
}

}  // namespace
}  // namespace conntrace::test
