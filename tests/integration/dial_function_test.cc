// SPDX-License-Identifier: Apache-2.0
// Connections that the application makes (TransportOptions::dial).
#include <gmock/gmock.h>
#include <unistd.h>

#include <future>
#include <stdexcept>

#include "conntrace/worker_pool.h"
#include "integration/dial_fixture.h"
#include "support/scripted_proxy.h"
#include "support/unix_server.h"

namespace conntrace::test {
namespace {

using std::chrono::milliseconds;
using ::testing::HasSubstr;

using DialFunctions = DialFunctionTest;

TEST_F(DialFunctions, UnixSocket) {
  UnixServer server([](Peer& peer, int connection) {
    if (connection == 1) return;
    answer_all(peer, connection);
  });
  Client& client = use({.dial = dial_unix(server.path())});
  ASSERT_TRUE(client.get("http://localhost/version"));
  ASSERT_TRUE(client.get("http://localhost/version"));
  EXPECT_EQ(server.connections(), 1);
  const auto got = hooks_.all<EventKind::got_conn>().at(1);
  EXPECT_EQ(got.remote, server.path());
  EXPECT_EQ(got.local, "");
  EXPECT_TRUE(got.reused);
  transport_->close_idle_connections();
  EXPECT_EQ(closed().by, ClosedBy::local);
  EXPECT_EQ(closed().remote, server.path());
  const auto hung_up = client.get("http://localhost/");
  ASSERT_FALSE(hung_up);
  ASSERT_TRUE(hooks_.wait_for_count(EventKind::conn_closed, 2));
  EXPECT_EQ(hooks_.all<EventKind::conn_closed>().at(1).by, ClosedBy::peer);
}

TEST_F(DialFunctions, TlsOverAUnixSocket) {
  ScriptedServer secure(answer_all, true);
  UnixServer server([&](Peer& peer, int) { peer.splice(secure.port()); });
  Client& client = use({.dial = dial_unix(server.path()), .tls = {.ca_file = secure.certificate_file()}});
  for (int i = 0; i < 2; ++i) {
    const auto response = client.get("https://localhost/");
    ASSERT_TRUE(response) << response.error().message();
  }
  EXPECT_EQ(server.connections(), 1);
  EXPECT_EQ(hooks_.all<EventKind::got_conn>().at(1).remote, server.path());
  transport_->close_idle_connections();
  EXPECT_EQ(closed().by, ClosedBy::local);
}

TEST_F(DialFunctions, UnixSocketThatCannotBeHad) {
  TemporaryFolder folder;
  const std::string full = folder.path() + "/full";
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  full.copy(address.sun_path, sizeof address.sun_path - 1);
  UniqueFd listener(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  ASSERT_EQ(bind(listener.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
  ASSERT_EQ(listen(listener.get(), 0), 0);
  std::vector<UniqueFd> waiting;
  int last = 0;
  while (last == 0) {
    waiting.emplace_back(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    last = connect(waiting.back().get(), reinterpret_cast<const sockaddr*>(&address), sizeof address);
  }
  std::string path;
  Client& client = use(
      {.dial = [&](const DialRequest& request, DialCompletion done) { dial_unix(path)(request, std::move(done)); }});
  for (const auto& [at, error_number] : {std::pair<std::string, int>(full, EAGAIN),
                                         {folder.path() + "/none", ENOENT},
                                         {std::string(200, 'x'), ENAMETOOLONG},
                                         {"@conntrace-nobody", ECONNREFUSED}}) {
    path = at;
    const auto result = client.get("http://localhost/");
    expect_dial_error(result, std::error_code(error_number, std::system_category()));
    EXPECT_THAT(result.error().context, HasSubstr(at));
  }
  EXPECT_EQ(hooks_.all<EventKind::connect_done>().at(1).error_number, ENOENT);
}

TEST_F(DialFunctions, WayToAProxyOfEachKind) {
  ScriptedServer target(answer_all, true);
  for (const auto kind : {ScriptedProxy::Kind::http, ScriptedProxy::Kind::https, ScriptedProxy::Kind::socks5}) {
    ScriptedProxy proxy(kind, target.port());
    const std::string url = proxy.url();
    const auto port = static_cast<std::uint16_t>(std::stoi(url.substr(url.rfind(':') + 1)));
    std::string host;
    HookRecorder hooks;
    auto transport = std::make_shared<Transport>(TransportOptions{
        .dial =
            [&](const DialRequest& request, const DialCompletion& done) {
              host = request.host;
              EXPECT_EQ(request.tls, kind == ScriptedProxy::Kind::https);
              done(DialledSocket{.fd = connect_to(port)});
            },
        .tls = {.ca_file = target.certificate_file(), .server_name = "localhost"},
        .proxy_tls = TlsOptions{.verify = false},
        .proxy = [&](const std::string&) -> Result<std::optional<ProxyUrl>> {
          return std::optional(*parse_proxy_url(url.substr(0, url.find("//")) + "//proxy.invalid:3128"));
        },
        .trace = hooks.trace()});
    const auto response = Client(transport).get("https://target.invalid/");
    ASSERT_TRUE(response) << url << " " << response.error().message();
    EXPECT_EQ(response->body, "ok");
    EXPECT_EQ(host, "proxy.invalid");
    transport.reset();
    EXPECT_EQ(hooks.broken_rule(), "");
    EXPECT_EQ(hooks.count(EventKind::dns_start), 0u);
    EXPECT_EQ(hooks.count(EventKind::proxy_connect_done), 1u);
    EXPECT_EQ(hooks.count(EventKind::tls_handshake_done), kind == ScriptedProxy::Kind::https ? 2u : 1u);
  }
}

// An https proxy to which the application has done TLS: what it is sent is a CONNECT, and TLS with the target.
TEST_F(DialFunctions, TlsWithTheProxyIsDone) {
  ScriptedServer target(answer_all, true);
  ScriptedProxy proxy(ScriptedProxy::Kind::http, target.port());
  const std::string url = proxy.url();
  const auto port = static_cast<std::uint16_t>(std::stoi(url.substr(url.rfind(':') + 1)));
  Client& client =
      use({.dial = [&](const DialRequest&,
                       const DialCompletion& done) { done(DialledSocket{.fd = connect_to(port), .tls_done = true}); },
           .tls = {.ca_file = target.certificate_file()},
           .proxy = [&](const std::string&) -> Result<std::optional<ProxyUrl>> {
             return std::optional(*parse_proxy_url("https://proxy.invalid:3128"));
           }});
  const auto response = client.get("https://localhost/");
  ASSERT_TRUE(response) << response.error().message();
  EXPECT_EQ(hooks_.count(EventKind::tls_handshake_start), 1u);
  EXPECT_THAT(proxy.asked().at(0), HasSubstr("CONNECT localhost:443 "));
}

TEST_F(DialFunctions, OneThatNeverAnswersIsBounded) {
  Client& client = use({.dial_timeout = milliseconds(50), .dial = keep()});
  const auto result = client.get("http://nowhere.invalid/");
  const Asked asked = next_asked();
  expect_dial_error(result, Errc::timeout);
  EXPECT_EQ(hooks_.all<EventKind::connect_done>().at(0).outcome, ConnectOutcome::timed_out);
  EXPECT_TRUE(asked.request.stop.stop_requested());
  auto ends = make_pair();
  asked.done(DialledSocket{.fd = std::move(ends[0])});
  EXPECT_TRUE(is_closed(ends[1])) << "too late";
}

TEST_F(DialFunctions, FirstAnswerCounts) {
  ScriptedServer server(answer_all);
  Client& client = use({.dial = keep()});
  auto result = client.send_async(Request{.url = "http://nowhere.invalid/"});
  const Asked asked = next_asked();
  auto ends = make_pair();
  asked.done(DialledSocket{.fd = connect_to(server.port())});
  asked.done(DialledSocket{.fd = std::move(ends[0])});
  asked.done(Failure(make_error(Errc::cancelled, "twice")));
  EXPECT_TRUE(is_closed(ends[1]));
  EXPECT_TRUE(result.get());
}

TEST_F(DialFunctions, BrokenPromises) {
  std::function<void(const DialCompletion&)> act;
  Client& client = use({.dial = [&](const DialRequest&, const DialCompletion& done) { act(done); }});
  int pipe_ends[2];
  ASSERT_EQ(pipe(pipe_ends), 0);
  const UniqueFd write_end(pipe_ends[1]);
  const std::vector<std::pair<std::function<void(const DialCompletion&)>, std::string>> cases = {
      {[](const DialCompletion&) { throw std::runtime_error("no"); }, "it threw"},
      {[](const DialCompletion&) {}, "it gave up its completion uncalled"},
      {[](const DialCompletion& done) { done(DialledSocket{}); }, "Bad file descriptor"},
      {[&](const DialCompletion& done) { done(DialledSocket{.fd = UniqueFd(pipe_ends[0])}); },
       "Socket operation on non-socket"},
      {[](const DialCompletion& done) { done(DialledSocket{.fd = UniqueFd(socket(AF_UNIX, SOCK_DGRAM, 0))}); },
       "Socket type not supported"},
      {[](const DialCompletion& done) { done(DialledSocket{.fd = UniqueFd(socket(AF_INET, SOCK_STREAM, 0))}); },
       "Transport endpoint is not connected"}};
  for (const auto& [what, why] : cases) {
    act = what;
    const auto result = client.get("http://nowhere.invalid/");
    expect_dial_error(result, Errc::dial_function_failed);
    EXPECT_THAT(result.error().message(), HasSubstr(why));
  }
  EXPECT_EQ(transport_->hook_exceptions(), 1u);
}

TEST_F(DialFunctions, AnswerAfterTheTransportIsClosed) {
  Client& client = use({.dial = keep()});
  auto result = client.send_async(Request{.url = "http://nowhere.invalid/"});
  const Asked asked = next_asked();
  client_.reset();
  transport_.reset();
  expect_dial_error(result.get(), Errc::shutdown);
  EXPECT_TRUE(asked.request.stop.stop_requested());
  auto ends = make_pair();
  asked.done(DialledSocket{.fd = std::move(ends[0])});
  EXPECT_TRUE(is_closed(ends[1]));
}

// Late binding, and the loop is not held up by a function that blocks: it runs on a pool.
TEST_F(DialFunctions, SlowDialServesWhoComesNext) {
  ScriptedServer server(answer_all);
  std::promise<void> go_on;
  auto workers = std::make_shared<WorkerPool>(WorkerPoolOptions{.threads = 1});
  std::atomic<int> dials = 0;
  Client& client = use({.dial = dial_on(workers, [&, ready = go_on.get_future().share()](const DialRequest&) {
                          ++dials;
                          ready.wait();
                          return Result<DialledSocket>(DialledSocket{.fd = connect_to(server.port())});
                        })});
  std::stop_source stop;
  auto first = client.send_async(Request{.url = "http://nowhere.invalid/", .stop = stop.get_token()});
  ASSERT_TRUE(hooks_.wait_for_count(EventKind::connect_start, 1));
  const PoolSnapshot now = transport_->pool_snapshot();
  EXPECT_EQ(now.dialling, 1u) << "the loop answers";
  stop.request_stop();
  EXPECT_FALSE(first.get());
  go_on.set_value();
  ASSERT_TRUE(hooks_.wait_for_count(EventKind::put_idle_conn, 1));
  ASSERT_TRUE(client.get("http://nowhere.invalid/"));
  EXPECT_EQ(dials, 1);
}

TEST_F(DialFunctions, LimitsHold) {
  ScriptedServer server(answer_all);
  Client& client = use({.max_concurrent_dials = 1, .dial = keep()});
  auto first = client.send_async(Request{.url = "http://one.invalid/"});
  const Asked one = next_asked();
  auto second = client.send_async(Request{.url = "http://two.invalid/"});
  ASSERT_TRUE(hooks_.wait_for_count(EventKind::queue_enter, 1));
  EXPECT_EQ(hooks_.all<EventKind::queue_enter>().at(0).limit, Limit::max_concurrent_dials);
  one.done(DialledSocket{.fd = connect_to(server.port())});
  ASSERT_TRUE(first.get());
  // It has no descriptor: the idle connection goes, and it is asked again.
  next_asked().done(Failure(system_error(EMFILE, "socket")));
  const Asked again = next_asked();
  EXPECT_EQ(again.request.host, "two.invalid");
  EXPECT_EQ(close_reason(), CloseReason::fd_pressure);
  EXPECT_EQ(hooks_.all<EventKind::fd_pressure>().at(0).error_number, EMFILE);
  again.done(DialledSocket{.fd = connect_to(server.port())});
  EXPECT_TRUE(second.get());
}

}  // namespace
}  // namespace conntrace::test
