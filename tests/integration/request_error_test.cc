// SPDX-License-Identifier: Apache-2.0
// How requests end that do not end well: the error, its phase, and what it cost.
#include <netinet/in.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include <latch>

#include "integration/transport_fixture.h"
#include "support/reserved_port.h"
#include "support/server_process.h"

namespace conntrace::test {
namespace {

using std::chrono::milliseconds;

class RequestErrors : public TransportTest {
 protected:
  void expect_failure(const Result<Response>& result, std::error_condition code, Phase phase) {
    ASSERT_FALSE(result);
    EXPECT_EQ(result.error().code, code) << result.error().message();
    EXPECT_EQ(result.error().phase, phase) << to_string(result.error().phase);
  }
  static std::error_condition condition(Errc code) { return {static_cast<int>(code), conntrace_category()}; }
};

TEST_F(RequestErrors, Refused) {
  const ReservedPort nobody;
  Client& client = use();
  expect_failure(client.get(nobody.url()), std::errc::connection_refused, Phase::connect);
  EXPECT_EQ(hooks_.sequence(1),
            "request_start get_conn why_new connect_start connect_done dial_done get_conn_failed request_done");
  EXPECT_EQ(hooks_.all<EventKind::connect_done>().at(0).error_number, ECONNREFUSED);
}

TEST_F(RequestErrors, NameDoesNotResolve) {
  Client& client = use();
  const auto result = client.get("http://name.invalid/");  // RFC 6761: never resolves
  expect_failure(result, condition(Errc::name_not_resolved), Phase::dns);
  EXPECT_EQ(hooks_.sequence(1),
            "request_start get_conn why_new dns_start dns_done dial_done get_conn_failed request_done");
  EXPECT_NE(hooks_.all<EventKind::dns_done>().at(0).error, "");
}

TEST_F(RequestErrors, ConcurrentLookupsOfOneNameShareOneAnswer) {
  Client& client = use({.resolver_threads = 1});
  auto first = client.send_async(Request{.url = "http://name.invalid/1"});
  auto second = client.send_async(Request{.url = "http://name.invalid/2"});
  EXPECT_FALSE(first.get());
  EXPECT_FALSE(second.get());
  EXPECT_EQ(hooks_.count(EventKind::dns_start), 2u);
  EXPECT_EQ(hooks_.count(EventKind::dns_done), 2u);
}

TEST_F(RequestErrors, WhatCannotBeSentIsNotDialled) {
  Client& client = use();
  for (const std::string url : {"", "not a url", "ftp://127.0.0.1/", "http://", "http://127.0.0.1:99999/"}) {
    expect_failure(client.get(url), condition(Errc::invalid_request), Phase::none);
  }
  expect_failure(client.send(Request{.method = "GET /", .url = "http://127.0.0.1/"}), condition(Errc::invalid_request),
                 Phase::none);
  expect_failure(client.send(Request{.url = "http://127.0.0.1/", .headers = {{"X", "a\r\nY: b"}}}),
                 condition(Errc::invalid_request), Phase::none);
  expect_failure(client.send(Request{.url = "http://127.0.0.1/", .headers = {{"Content-Length", "5"}}}),
                 condition(Errc::invalid_request), Phase::none);
  const auto secret = client.get("ftp://user:secret@127.0.0.1/");
  ASSERT_FALSE(secret);
  EXPECT_EQ(secret.error().message().find("secret"), std::string::npos);
  EXPECT_EQ(hooks_.count(EventKind::why_new), 0u);
}

TEST_F(RequestErrors, GarbageInsteadOfAResponse) {
  ScriptedServer server([](Peer& peer, int) {
    if (peer.read_head()) peer.write("this is not HTTP\r\n\r\n");
    peer.read_to_end();
  });
  Client& client = use();
  expect_failure(client.get(server.url()), condition(Errc::protocol_error), Phase::receive);
  EXPECT_EQ(close_reason(), CloseReason::protocol_error);
}

TEST_F(RequestErrors, ResponseCutShort) {
  ScriptedServer server([](Peer& peer, int) {
    if (peer.read_head()) peer.write("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nshort");
  });
  Client& client = use();
  expect_failure(client.get(server.url()), condition(Errc::protocol_error), Phase::receive);
  EXPECT_EQ(hooks_.all<EventKind::body_done>().at(0).bytes, 5u);
  EXPECT_EQ(hooks_.all<EventKind::body_closed>().at(0).outcome, BodyOutcome::failed);
}

TEST_F(RequestErrors, ClosedBeforeAnyResponseOnAFreshConnection) {
  ScriptedServer server([](Peer& peer, int) { EXPECT_TRUE(peer.read_head()); });
  Client& client = use();
  expect_failure(client.get(server.url()), condition(Errc::closed_before_response), Phase::wait);
  EXPECT_EQ(hooks_.count(EventKind::retry), 0u) << "Go never retries on a fresh connection";
  EXPECT_EQ(close_reason(), CloseReason::read_error);
}

TEST_F(RequestErrors, HeadTooLarge) {
  ScriptedServer server([](Peer& peer, int) {
    if (peer.read_head()) peer.write("HTTP/1.1 200 OK\r\nX: " + std::string(5000, 'x') + "\r\n\r\n");
    peer.read_to_end();
  });
  Client& client = use({.max_response_header_bytes = 4096});
  expect_failure(client.get(server.url()), condition(Errc::header_too_large), Phase::receive);
}

TEST_F(RequestErrors, BodyTooLarge) {
  ScriptedServer server([](Peer& peer, int) {
    if (peer.read_head()) peer.respond(std::string(5000, 'x'));
    peer.read_to_end();
  });
  Client& client = use({.max_response_body_bytes = 4096});
  expect_failure(client.get(server.url()), condition(Errc::body_too_large), Phase::receive);
}

TEST_F(RequestErrors, TimeoutWhileWaitingForTheResponse) {
  ScriptedServer server([](Peer& peer, int) {
    if (peer.read_head()) peer.respond();
    peer.read_to_end();
  });
  Client& client = use();
  ASSERT_TRUE(client.get(server.url())) << "so that there is a connection: a dial might take as long as the timeout";
  expect_failure(client.send(Request{.url = server.url(), .timeout = milliseconds(50)}), std::errc::timed_out,
                 Phase::wait);
  EXPECT_EQ(close_reason(), CloseReason::request_timeout);
}

TEST_F(RequestErrors, ResponseHeaderTimeoutIsNotResetByInterimResponses) {
  ScriptedServer server([](Peer& peer, int) {
    if (peer.read_head()) peer.write("HTTP/1.1 103 Early Hints\r\n\r\n");
    peer.read_to_end();
  });
  Client& client = use({.response_header_timeout = milliseconds(50)});
  expect_failure(client.get(server.url()), std::errc::timed_out, Phase::wait);
}

TEST_F(RequestErrors, TimeoutInTheQueue) {
  ScriptedServer server([](Peer& peer, int) { peer.read_to_end(); });
  Client& client = use({.max_conns_per_host = 1});
  auto holder = client.send_async(Request{.url = server.url()});
  ASSERT_TRUE(hooks_.wait_for_count(EventKind::wrote_request, 1));
  expect_failure(client.send(Request{.url = server.url(), .timeout = milliseconds(50)}), std::errc::timed_out,
                 Phase::blocked);
  EXPECT_EQ(hooks_.sequence(2), "request_start get_conn queue_enter queue_leave get_conn_failed request_done");
  EXPECT_EQ(hooks_.all<EventKind::queue_leave>().at(0).outcome, QueueOutcome::timeout);
  transport_->cancel(1);
  expect_failure(holder.get(), condition(Errc::cancelled), Phase::wait);
  EXPECT_EQ(close_reason(), CloseReason::request_cancelled);
}

TEST_F(RequestErrors, DialTimeout) {
  // A listener whose accept queue is full drops SYNs.
  const UniqueFd listener(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  auto* generic = reinterpret_cast<sockaddr*>(&address);
  ASSERT_EQ(bind(listener.get(), generic, size), 0);
  ASSERT_EQ(listen(listener.get(), 0), 0);
  ASSERT_EQ(getsockname(listener.get(), generic, &size), 0);
  const UniqueFd filler(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  ASSERT_EQ(connect(filler.get(), generic, size), 0);

  Client& client = use({.dial_timeout = milliseconds(100)});
  const auto result = client.get("http://127.0.0.1:" + std::to_string(ntohs(address.sin_port)) + "/");
  expect_failure(result, std::errc::timed_out, Phase::connect);
  EXPECT_EQ(hooks_.sequence(1),
            "request_start get_conn why_new connect_start connect_done dial_done get_conn_failed request_done");
}

TEST_F(RequestErrors, CancelledBeforeItBegins) {
  const ReservedPort nobody;
  Client& client = use();
  std::stop_source stop;
  stop.request_stop();
  expect_failure(client.send(Request{.url = nobody.url(), .stop = stop.get_token()}), condition(Errc::cancelled),
                 Phase::none);
  EXPECT_EQ(hooks_.count(EventKind::why_new), 0u);
}

TEST_F(RequestErrors, CancelledInTheMiddleOfTheBody) {
  ScriptedServer server([](Peer& peer, int) {
    if (peer.read_head()) peer.write("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf");
    peer.read_to_end();
  });
  Client& client = use();
  std::stop_source stop;
  auto result = client.send_async(Request{.url = server.url(), .stop = stop.get_token()});
  ASSERT_TRUE(hooks_.wait_for_count(EventKind::response_head, 1));
  stop.request_stop();
  expect_failure(result.get(), condition(Errc::cancelled), Phase::receive);
  EXPECT_EQ(hooks_.all<EventKind::body_closed>().at(0).outcome, BodyOutcome::abandoned);
}

TEST_F(RequestErrors, AnEarlyAnswerEndsTheUpload) {
  ScriptedServer server([this](Peer& peer, int) {
    if (peer.read_head()) peer.write("HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\n\r\n");
    EXPECT_TRUE(hooks_.wait_for_count(EventKind::request_done, 1)) << "although the body is not read";
  });
  Client& client = use();
  const auto result = client.send(Request{.method = "POST", .url = server.url(), .body = std::string(64 << 20, 'x')});
  ASSERT_TRUE(result) << result.error().message();
  EXPECT_EQ(result->status, 413);
  EXPECT_EQ(close_reason(), CloseReason::request_not_sent);
}

TEST_F(RequestErrors, AnEarlyAnswerIsPreferredToTheWriteError) {
  ScriptedServer server([](Peer& peer, int) {
    if (peer.read_head()) peer.write("HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\n\r\n");
    (void)peer.read_bytes(1 << 20);
    peer.close();
  });
  Client& client = use();
  const auto result = client.send(Request{.method = "POST", .url = server.url(), .body = std::string(64 << 20, 'x')});
  ASSERT_TRUE(result) << result.error().message();
  EXPECT_EQ(result->status, 413);
}

TEST_F(RequestErrors, LargeBodyArrivesWhole) {
  const std::string body(8 << 20, 'y');
  std::string got;
  ScriptedServer server([&](Peer& peer, int) {
    if (!peer.read_head()) return;
    got = peer.read_bytes(body.size());
    peer.respond();
  });
  Client& client = use();
  ASSERT_TRUE(client.send(Request{.method = "PUT", .url = server.url(), .body = body}));
  EXPECT_EQ(got, body);
}

TEST_F(RequestErrors, NoDescriptorLeftAndNobodyWhoFreesOne) {
  // A process of its own: a thread of this one that waits in accept() has a descriptor, or wants one.
  const ServerProcess server;
  Client& client = use({.dial_timeout = std::chrono::milliseconds(250)});
  rlimit before{};
  ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &before), 0);
  rlimit low = before;
  low.rlim_cur = static_cast<rlim_t>(UniqueFd(dup(STDERR_FILENO)).get());  // the lowest number that is free
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &low), 0);
  const auto result = client.get(server.url());
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &before), 0);
  expect_failure(result, std::errc::too_many_files_open, Phase::blocked);
  EXPECT_EQ(hooks_.all<EventKind::fd_pressure>().at(0).error_number, EMFILE);
  EXPECT_TRUE(client.get(server.url())) << "and it recovers";
}

TEST_F(RequestErrors, ShutdownFailsWhatIsUnderWay) {
  ScriptedServer server([](Peer& peer, int) { peer.read_to_end(); });
  Client& client = use({.max_conns_per_host = 1});
  auto active = client.send_async(Request{.url = server.url()});
  auto queued = client.send_async(Request{.url = server.url()});
  ASSERT_TRUE(hooks_.wait_for_count(EventKind::wrote_request, 1));
  ASSERT_TRUE(hooks_.wait_for_count(EventKind::queue_enter, 1));
  client_.reset();
  transport_.reset();
  expect_failure(active.get(), condition(Errc::shutdown), Phase::wait);
  expect_failure(queued.get(), condition(Errc::shutdown), Phase::blocked);
  EXPECT_EQ(close_reason(), CloseReason::transport_shutdown);
}

}  // namespace
}  // namespace conntrace::test
