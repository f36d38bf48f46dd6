// SPDX-License-Identifier: Apache-2.0
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/wait.h>
#include <unistd.h>

#include <map>
#include <thread>

#include "conntrace/clock.h"
#include "sockets.h"
#include "watch.h"

namespace conntrace::bpftest {
namespace {

constexpr auto kClientClosesFirst = "tcp_connect tcp_established FIN_WAIT1 FIN_WAIT2 CLOSE tcp_closed";
constexpr auto kServerClosesLast = "tcp_established tcp_accept CLOSE_WAIT LAST_ACK CLOSE tcp_closed";

TEST(Tcp, ClientClosesFirst) {
  Watch watch;
  const UniqueFd listener = tcp_listener();
  Pair pair = connected_pair(listener);
  const auto client = cookie_of(pair.client);
  const auto server = cookie_of(pair.server);
  const std::string local = local_of(pair.client);
  const std::string remote = remote_of(pair.client);
  pair.client.reset();
  wait_for_state(pair.server, TcpState::CLOSE_WAIT);
  pair.server.reset();
  ASSERT_TRUE(watch.wait_for<EventKind::tcp_closed>(client));
  ASSERT_TRUE(watch.wait_for<EventKind::tcp_closed>(server));

  EXPECT_EQ(watch.story(client), kClientClosesFirst) << watch.dump();
  EXPECT_EQ(watch.story(server), kServerClosesLast) << watch.dump();
  const Event& connect = *watch.of(client)[0];
  EXPECT_EQ(connect.header.pid, static_cast<std::uint32_t>(getpid()));
  EXPECT_EQ(connect.header.tid, static_cast<std::uint32_t>(gettid()));
  EXPECT_EQ(connect.header.start_time_ns, start_time_of_self());
  EXPECT_EQ(connect.header.netns, netns_of_thread());
  EXPECT_EQ(connect.header.source, Source::kernel);
  EXPECT_EQ(get_if<EventKind::tcp_connect>(connect)->remote, remote);
  EXPECT_EQ(get_if<EventKind::tcp_connect>(connect)->comm, comm_of_thread());
  const auto* outgoing = get_if<EventKind::tcp_established>(*watch.of(client)[1]);
  EXPECT_EQ(outgoing->direction, Direction::outgoing);
  EXPECT_EQ(outgoing->local, local);
  EXPECT_EQ(outgoing->remote, remote);
  ASSERT_TRUE(outgoing->handshake_ns);
  EXPECT_EQ(*outgoing->handshake_ns, watch.of(client)[1]->header.mono_ns - connect.header.mono_ns);
  const Event& accepted = *watch.of(server)[0];
  EXPECT_EQ(accepted.header.pid, static_cast<std::uint32_t>(getpid()));  // the listener's owner
  EXPECT_EQ(accepted.header.tid, 0u);                                    // it happens in softirq
  const auto* incoming = get_if<EventKind::tcp_established>(accepted);
  EXPECT_EQ(incoming->direction, Direction::incoming);
  EXPECT_EQ(incoming->local, remote);
  EXPECT_EQ(incoming->remote, local);
  EXPECT_FALSE(incoming->handshake_ns);
  for (const Event* event : watch.of(client)) EXPECT_EQ(event->header.netns, netns_of_thread());
}

TEST(Tcp, ServerClosesFirst) {
  Watch watch;
  const UniqueFd listener = tcp_listener();
  Pair pair = connected_pair(listener);
  const auto client = cookie_of(pair.client);
  const auto server = cookie_of(pair.server);
  pair.server.reset();
  wait_for_state(pair.client, TcpState::CLOSE_WAIT);
  pair.client.reset();
  ASSERT_TRUE(watch.wait_for<EventKind::tcp_closed>(client));
  ASSERT_TRUE(watch.wait_for<EventKind::tcp_closed>(server));
  EXPECT_EQ(watch.story(client), "tcp_connect tcp_established CLOSE_WAIT LAST_ACK CLOSE tcp_closed") << watch.dump();
  EXPECT_EQ(watch.story(server), "tcp_established tcp_accept FIN_WAIT1 FIN_WAIT2 CLOSE tcp_closed") << watch.dump();
}

TEST(Tcp, RefusedConnectSaysTheErrnoOfConnect) {
  Watch watch;
  const UniqueFd nobody = tcp_socket();  // holds the port, but does not listen
  sockaddr_in any{};
  any.sin_family = AF_INET;
  ASSERT_EQ(bind(nobody.get(), reinterpret_cast<sockaddr*>(&any), sizeof any), 0);
  UniqueFd client = tcp_socket();
  int error = 0;
  try {
    connect_to(client, nobody);
  } catch (const std::system_error& failed) {
    error = failed.code().value();
  }
  ASSERT_EQ(error, ECONNREFUSED);
  const auto cookie = cookie_of(client);
  client.reset();
  ASSERT_TRUE(watch.wait_for<EventKind::tcp_closed>(cookie));
  // Whether the error or the state comes first depends on the kernel's version.
  EXPECT_THAT(watch.story(cookie), testing::AnyOf("tcp_connect tcp_reset_received tcp_error CLOSE tcp_closed",
                                                  "tcp_connect tcp_reset_received CLOSE tcp_error tcp_closed"))
      << watch.dump();
  const auto* reported = watch.wait_for<EventKind::tcp_error>(cookie);
  EXPECT_EQ(reported->error_number, error);
  EXPECT_EQ(reported->error, "ECONNREFUSED");
  EXPECT_EQ(watch.wait_for<EventKind::tcp_reset_received>(cookie)->state, TcpState::SYN_SENT);
  EXPECT_EQ(watch.wait_for<EventKind::tcp_closed>(cookie)->bytes_sent, 0u);
}

TEST(Tcp, AbortKeepsTheTotalsThatTheKernelClears) {
  Watch watch;
  const UniqueFd listener = tcp_listener();
  Pair pair = connected_pair(listener);
  const auto client = cookie_of(pair.client);
  const auto server = cookie_of(pair.server);
  send_text(pair.client, "question");
  ASSERT_EQ(receive(pair.server), "question");
  send_text(pair.server, "an answer");
  ASSERT_EQ(receive(pair.client), "an answer");
  const tcp_info before = tcp_info_of(pair.client);
  abort_on_close(pair.client);
  pair.client.reset();
  char byte = 0;
  ASSERT_EQ(recv(pair.server.get(), &byte, 1, 0), -1);
  ASSERT_EQ(errno, ECONNRESET);
  pair.server.reset();
  const auto* closed = watch.wait_for<EventKind::tcp_closed>(client);
  ASSERT_TRUE(closed);
  EXPECT_EQ(closed->bytes_sent, before.tcpi_bytes_sent);
  EXPECT_EQ(closed->bytes_received, before.tcpi_bytes_received);
  EXPECT_EQ(closed->srtt_us, before.tcpi_rtt);
  EXPECT_EQ(watch.wait_for<EventKind::tcp_reset_sent>(client)->state, TcpState::CLOSE);
  ASSERT_TRUE(watch.wait_for<EventKind::tcp_closed>(server));
  EXPECT_EQ(watch.wait_for<EventKind::tcp_reset_received>(server)->state, TcpState::ESTABLISHED);
  EXPECT_EQ(watch.wait_for<EventKind::tcp_error>(server)->error_number, ECONNRESET);
}

TEST(Tcp, CloseWithUnreadDataResets) {
  Watch watch;
  const UniqueFd listener = tcp_listener();
  Pair pair = connected_pair(listener);
  const auto client = cookie_of(pair.client);
  const auto server = cookie_of(pair.server);
  send_text(pair.client, "never read");
  while (tcp_info_of(pair.server).tcpi_bytes_received == 0) sched_yield();
  pair.server.reset();
  char byte = 0;
  ASSERT_EQ(recv(pair.client.get(), &byte, 1, 0), -1);
  ASSERT_EQ(errno, ECONNRESET);
  ASSERT_TRUE(watch.wait_for<EventKind::tcp_reset_sent>(server));
  EXPECT_EQ(watch.wait_for<EventKind::tcp_reset_received>(client)->state, TcpState::ESTABLISHED);
  EXPECT_EQ(watch.wait_for<EventKind::tcp_error>(client)->error_number, ECONNRESET);
  EXPECT_EQ(watch.wait_for<EventKind::tcp_closed>(server)->bytes_received, 10u);
}

TEST(Tcp, LostSynIsCountedAndOwned) {
  Watch watch;
  const UniqueFd listener = tcp_listener(AF_INET, 0);  // room for one connection that nobody accepts
  const UniqueFd first = tcp_socket();
  connect_to(first, listener);
  const UniqueFd second = tcp_socket();
  ASSERT_EQ(fcntl(second.get(), F_SETFL, O_NONBLOCK), 0);
  EXPECT_THROW(connect_to(second, listener), std::system_error);
  ASSERT_EQ(errno, EINPROGRESS);
  const auto cookie = cookie_of(second);
  const Event* again = watch.wait("SYN retransmit", [&](const Event& event) {
    return event.kind() == EventKind::tcp_retransmit && event.header.cookie == cookie;
  });
  ASSERT_TRUE(again);
  EXPECT_EQ(get_if<EventKind::tcp_retransmit>(*again)->state, TcpState::SYN_SENT);
  EXPECT_EQ(again->header.pid, static_cast<std::uint32_t>(getpid()));  // a timer sent it, in nobody's context
  EXPECT_EQ(again->header.tid, 0u);
  const UniqueFd accepted = accept_from(listener);
  pollfd ready{second.get(), POLLOUT, 0};
  ASSERT_EQ(poll(&ready, 1, 20000), 1);
  const auto* established = watch.wait_for<EventKind::tcp_established>(cookie);
  ASSERT_TRUE(established);
  EXPECT_EQ(established->syn_retransmits, tcp_info_of(second).tcpi_total_retrans);
  EXPECT_GE(established->syn_retransmits, 1u);
  EXPECT_GE(*established->handshake_ns, 900'000'000u);
}

// The server repeats its SYN-ACK until data comes. The socket exists only then, and has the cookie of its request.
TEST(Tcp, RepeatedSynAckIsOfTheConnectionToCome) {
  Watch watch;
  const UniqueFd listener = tcp_listener();
  const int seconds = 3;
  ASSERT_EQ(setsockopt(listener.get(), IPPROTO_TCP, TCP_DEFER_ACCEPT, &seconds, sizeof seconds), 0);
  const UniqueFd client = tcp_socket();
  connect_to(client, listener);
  const Event* again = watch.wait("SYN-ACK retransmit", [](const Event& event) {
    const auto* info = get_if<EventKind::tcp_retransmit>(event);
    return info != nullptr && info->state == TcpState::NEW_SYN_RECV;
  });
  ASSERT_TRUE(again);
  send_text(client, "x");
  const UniqueFd server = accept_from(listener);
  EXPECT_EQ(again->header.cookie, cookie_of(server));
  EXPECT_EQ(again->header.pid, static_cast<std::uint32_t>(getpid()));
  const auto* incoming = watch.wait_for<EventKind::tcp_established>(cookie_of(server));
  ASSERT_TRUE(incoming);
  EXPECT_EQ(incoming->syn_retransmits, tcp_info_of(server).tcpi_total_retrans);
}

TEST(Tcp, MappedAddressesAreShownAsIpv4) {
  Watch watch;
  const UniqueFd listener = tcp_listener(AF_INET6);
  const UniqueFd client = tcp_socket(AF_INET);
  connect_to(client, listener, AF_INET);
  const UniqueFd server = accept_from(listener);
  const auto* incoming = watch.wait_for<EventKind::tcp_established>(cookie_of(server));
  ASSERT_TRUE(incoming);
  EXPECT_EQ(incoming->remote, local_of(client));
  EXPECT_EQ(incoming->local, local_of(server));
}

TEST(Tcp, Ipv6) {
  Watch watch;
  const UniqueFd listener = tcp_listener(AF_INET6);
  const UniqueFd client = tcp_socket(AF_INET6);
  connect_to(client, listener, AF_INET6);
  const UniqueFd server = accept_from(listener);
  const auto* outgoing = watch.wait_for<EventKind::tcp_established>(cookie_of(client));
  ASSERT_TRUE(outgoing);
  EXPECT_EQ(outgoing->local, local_of(client));
  EXPECT_EQ(outgoing->remote, remote_of(client));
  EXPECT_THAT(std::string(outgoing->remote), testing::StartsWith("[::1]:"));
}

TEST(Tcp, EveryCookieIsTheProcessOwn) {
  constexpr int kConnections = 300;
  Watch watch;
  const UniqueFd listener = tcp_listener();
  std::map<std::uint64_t, std::string> expected;  // cookie to local address, by SO_COOKIE and getsockname
  for (int i = 0; i < kConnections; ++i) {
    const Pair pair = connected_pair(listener);
    expected[cookie_of(pair.client)] = local_of(pair.client);
    expected[cookie_of(pair.server)] = local_of(pair.server);
    if (i % 2 == 0) abort_on_close(pair.client);
  }
  watch.drain();
  std::map<std::uint64_t, std::string> seen;
  for (const Event& event : watch.events()) {
    if (const auto* established = get_if<EventKind::tcp_established>(event)) {
      EXPECT_TRUE(seen.emplace(event.header.cookie, established->local).second) << "twice";
    }
  }
  EXPECT_EQ(seen, expected);
  EXPECT_TRUE(watch.observer().stats().losses.empty());
}

TEST(Tcp, OtherProcessesAreNotSeen) {
  Watch watch;
  const UniqueFd listener = tcp_listener();
  int pipe_ends[2];
  ASSERT_EQ(pipe2(pipe_ends, O_CLOEXEC), 0);
  const pid_t child = fork();
  if (child == 0) {
    const UniqueFd own = tcp_listener();
    const Pair pair = connected_pair(own);
    const std::uint64_t cookies[] = {cookie_of(pair.client), cookie_of(pair.server)};
    send_text(pair.client, "x");
    _exit(write(pipe_ends[1], cookies, sizeof cookies) == sizeof cookies ? 0 : 1);
  }
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  ASSERT_EQ(status, 0);
  std::uint64_t cookies[2] = {};
  ASSERT_EQ(read(pipe_ends[0], cookies, sizeof cookies), static_cast<ssize_t>(sizeof cookies));
  const Pair mine = connected_pair(listener);  // proves that the watch sees
  watch.drain();
  EXPECT_EQ(watch.of(cookies[0]).size(), 0u) << watch.dump();
  EXPECT_EQ(watch.of(cookies[1]).size(), 0u) << watch.dump();
  EXPECT_EQ(watch.of(cookie_of(mine.client)).size(), 2u);
  close(pipe_ends[0]);
  close(pipe_ends[1]);
}

TEST(Tcp, NetworkNamespaceIsTheSockets) {
  Watch watch;
  std::uint64_t cookie = 0;
  std::uint64_t netns = 0;
  std::thread([&] {
    enter_new_netns();
    netns = netns_of_thread();
    const UniqueFd listener = tcp_listener();
    cookie = cookie_of(connected_pair(listener).client);
  }).join();
  ASSERT_TRUE(watch.wait_for<EventKind::tcp_closed>(cookie));
  EXPECT_NE(netns, netns_of_thread());
  for (const Event* event : watch.of(cookie)) EXPECT_EQ(event->header.netns, netns);
}

TEST(Tcp, DescriptorsOfBothSidesAndTheMomentOfAccept) {
  Watch watch;
  const UniqueFd listener = tcp_listener();
  const UniqueFd client = tcp_socket();
  connect_to(client, listener);
  const auto* connect = watch.wait_for<EventKind::tcp_connect>(cookie_of(client));
  ASSERT_NE(connect, nullptr);
  EXPECT_EQ(connect->fd, client.get());
  watch.drain();
  EXPECT_EQ(watch.count(EventKind::tcp_accept), 0u) << watch.dump();
  const auto before = static_cast<std::uint64_t>(mono_now().count());
  UniqueFd server;
  pid_t tid = 0;
  std::thread([&] {
    server = accept_from(listener);
    tid = gettid();
  }).join();
  const Event* accept = watch.wait("tcp_accept", [&](const Event& event) {
    return event.kind() == EventKind::tcp_accept && event.header.cookie == cookie_of(server);
  });
  ASSERT_NE(accept, nullptr);
  EXPECT_EQ(get_if<EventKind::tcp_accept>(*accept)->fd, server.get());
  EXPECT_EQ(accept->header.tid, static_cast<std::uint32_t>(tid));
  EXPECT_EQ(accept->header.netns, netns_of_thread());
  EXPECT_GE(accept->header.mono_ns, before);
  EXPECT_LE(accept->header.mono_ns, static_cast<std::uint64_t>(mono_now().count()));
  EXPECT_LT(watch.of(cookie_of(server))[0]->header.mono_ns, before) << "it was established while nobody accepted";
}

}  // namespace
}  // namespace conntrace::bpftest
