// SPDX-License-Identifier: Apache-2.0
// Dials that race, fail, or outlive their requests. They run in namespaces of their own: a network whose local ports
// can be few, and an /etc/hosts in which both.test is ::1 and 127.0.0.1. Without the right to make these (root, or
// unprivileged user namespaces) it says so and exits with 77.
#include <gmock/gmock.h>
#include <sched.h>
#include <sys/socket.h>

#include <cstdio>
#include <fstream>
#include <latch>
#include <thread>

#include "integration/transport_fixture.h"
#include "support/deaf_listener.h"
#include "support/namespaces.h"
#include "support/reserved_port.h"
#include "support/temporary_file.h"

namespace conntrace::test {
namespace {

using ::testing::HasSubstr;

class Dials : public TransportTest {
 protected:
  [[nodiscard]] static std::string both(std::uint16_t port) { return "http://both.test:" + std::to_string(port) + "/"; }
};

// What the application gives may be of another network than the transport's thread: cookies are of one network.
TEST_F(Dials, GivenSocketOfAnotherNetwork) {
  const auto netns_of_pair = [](bool elsewhere) {
    int ends[2] = {-1, -1};
    std::thread([&] {
      EXPECT_TRUE(!elsewhere || unshare(CLONE_NEWNET) == 0);
      EXPECT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
    }).join();
    const std::jthread server([end = ends[1]] {
      Peer peer(UniqueFd(end), nullptr);
      answer_all(peer, 0);
    });
    HookRecorder hooks;
    const auto transport = std::make_shared<Transport>(TransportOptions{
        .dial = [&](const DialRequest&, const DialCompletion& done) { done(DialledSocket{.fd = UniqueFd(ends[0])}); },
        .trace = hooks.trace()});
    EXPECT_TRUE(Client(transport).get("http://nowhere.invalid/"));
    transport->close_idle_connections();
    for (const Event& event : hooks.events()) {
      if (event.kind() == EventKind::got_conn) return event.header.netns;
    }
    return std::uint64_t{1};
  };
  EXPECT_NE(netns_of_pair(false), 0u);
  EXPECT_EQ(netns_of_pair(true), 0u) << "it has no number that this thread can know";
}

TEST_F(Dials, TheLoserOfARaceEndsWithItsReason) {
  ScriptedServer server(answer_all);
  const DeafListener deaf(server.port());
  ASSERT_TRUE(deaf.works());
  Client& client = use();
  const auto response = client.get(both(server.port()));
  ASSERT_TRUE(response) << response.error().message();
  const std::string port = ":" + std::to_string(server.port());
  const auto starts = hooks_.all<EventKind::connect_start>();
  const auto done = hooks_.all<EventKind::connect_done>();
  ASSERT_EQ(starts.size(), 2u);
  ASSERT_EQ(done.size(), 2u);
  EXPECT_EQ(starts[0].address, "[::1]" + port);
  EXPECT_EQ(starts[1].address, "127.0.0.1" + port);
  EXPECT_EQ(done[0].address, "127.0.0.1" + port);
  EXPECT_EQ(done[0].outcome, ConnectOutcome::connected);
  EXPECT_EQ(done[1].address, "[::1]" + port);
  EXPECT_EQ(done[1].outcome, ConnectOutcome::lost_race);
  EXPECT_EQ(done[1].error_number, ECANCELED);
  EXPECT_EQ(done[1].error, "another address connected first");
  const auto dial = hooks_.all<EventKind::dial_done>().at(0);
  EXPECT_EQ(dial.attempts, 2u);
  EXPECT_EQ(dial.attempts_failed, 1u);
  ASSERT_EQ(dial.tried.size(), 2u);
  EXPECT_EQ(dial.tried[0], "[::1]" + port + ": another address connected first");
  EXPECT_EQ(dial.tried[1], "127.0.0.1" + port + ": connected");
  // Every event of a socket names that socket; those of the connection name the winner's.
  std::uint64_t winner = 0;
  for (const Event& event : hooks_.events()) {
    if (event.kind() == EventKind::connect_start) winner = event.header.cookie;  // the last one's
    if (event.kind() == EventKind::dial_done || event.kind() == EventKind::got_conn) {
      EXPECT_EQ(event.header.cookie, winner);
    }
  }
  EXPECT_GE(hooks_.all<EventKind::dial_done>().at(0).duration_ns, 290'000'000u) << "Happy Eyeballs waits 300 ms";
}

TEST_F(Dials, EveryAddressIsInTheError) {
  const ReservedPort nobody;
  const std::uint16_t port = nobody.port();
  Client& client = use();
  const auto result = client.get(both(port));
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code, std::errc::connection_refused);
  const std::string text = std::to_string(port);
  EXPECT_THAT(result.error().message(),
              HasSubstr("[::1]:" + text + ": Connection refused; 127.0.0.1:" + text + ": Connection refused"));
  for (const auto& done : hooks_.all<EventKind::connect_done>()) {
    EXPECT_EQ(done.error_number, ECONNREFUSED);
    EXPECT_EQ(done.outcome, ConnectOutcome::failed);
  }
  EXPECT_EQ(hooks_.all<EventKind::dial_done>().at(0).attempts_failed, 2u);
}

TEST_F(Dials, ErrorsOfARaceAreEachTheirOwn) {
  const ReservedPort nobody;
  const std::uint16_t port = nobody.port();
  const DeafListener deaf(port);
  ASSERT_TRUE(deaf.works());
  Client& client = use({.dial_timeout = std::chrono::seconds(2)});
  const auto result = client.get(both(port));
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code, std::errc::timed_out);
  EXPECT_THAT(result.error().message(), HasSubstr("[::1]:" + std::to_string(port) + ": timed out; 127.0.0.1:" +
                                                  std::to_string(port) + ": Connection refused"));
  const auto done = hooks_.all<EventKind::connect_done>();
  ASSERT_EQ(done.size(), 2u);
  EXPECT_EQ(done[0].outcome, ConnectOutcome::failed);
  EXPECT_EQ(done[0].error_number, ECONNREFUSED);
  EXPECT_EQ(done[1].outcome, ConnectOutcome::timed_out);
  EXPECT_EQ(done[1].error_number, ETIMEDOUT);
}

TEST_F(Dials, GivenUpDialsAreVisibleToTheTransport) {
  ScriptedServer server(answer_all);
  const DeafListener full(server.port());
  ASSERT_TRUE(full.works());
  Client& client = use();
  std::stop_source stop;
  auto result = client.send_async(
      Request{.url = "http://[::1]:" + std::to_string(server.port()) + "/", .stop = stop.get_token()});
  ASSERT_TRUE(hooks_.wait_for_count(EventKind::connect_start, 1));
  stop.request_stop();
  const auto answer = result.get();
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().phase, Phase::connect);
  EXPECT_EQ(hooks_.count(EventKind::dial_done), 0u) << "it goes on: another request may want it";
  client_.reset();
  transport_.reset();
  EXPECT_EQ(hooks_.sequence(0), "connect_done dial_done");
  EXPECT_EQ(hooks_.all<EventKind::connect_done>().at(0).outcome, ConnectOutcome::abandoned);
  EXPECT_EQ(hooks_.sequence(1), "request_start get_conn why_new connect_start get_conn_failed request_done");
}

TEST_F(Dials, ExhaustedPortsAreProvedByTheirCounts) {
  std::latch end(1);
  ScriptedServer server([&](Peer& peer, int connection) {
    if (!peer.read_head()) return;
    if (connection < 4) end.wait();
    peer.respond();
  });
  std::ofstream("/proc/sys/net/ipv4/ip_local_port_range") << "40000 40003";
  Client& client = use();
  std::vector<std::future<Result<Response>>> held;
  for (int i = 0; i < 4; ++i) held.push_back(client.send_async(Request{.url = server.url()}));
  ASSERT_TRUE(hooks_.wait_for_count(EventKind::wrote_request, 4));
  const auto result = client.get(server.url());
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code, std::errc::address_not_available);
  EXPECT_EQ(result.error().phase, Phase::connect);
  EXPECT_THAT(result.error().message(), HasSubstr("ports exhausted: 4 sockets to it, 4 local ports"));
  const auto done = hooks_.all<EventKind::connect_done>(5).at(0);
  EXPECT_EQ(done.error_number, EADDRNOTAVAIL);
  EXPECT_EQ(done.outcome, ConnectOutcome::failed);
  EXPECT_EQ(done.local_ports, 4u);
  EXPECT_EQ(done.sockets_to_address, 4u);
  end.count_down();
  for (auto& response : held) EXPECT_TRUE(response.get());
  EXPECT_TRUE(client.get(server.url())) << "on a connection that is idle again";
  std::ofstream("/proc/sys/net/ipv4/ip_local_port_range") << "32768 60999";
}

bool ports_can_be_set() {
  std::ofstream file("/proc/sys/net/ipv4/ip_local_port_range");
  file << "32768 60999" << std::flush;
  return file.good();
}

}  // namespace
}  // namespace conntrace::test

int main(int argc, char** argv) {
  testing::InitGoogleTest(&argc, argv);
  const conntrace::test::TemporaryFile hosts("127.0.0.1 localhost both.test\n::1 both.test\n");
  if (!conntrace::test::enter_namespaces({{"/etc/hosts", hosts.path()}}) || !conntrace::test::ports_can_be_set()) {
    std::perror("dials cannot be tested here: namespaces");
    return 77;
  }
  return RUN_ALL_TESTS();
}
