// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <unistd.h>

#include <map>

#include "child.h"
#include "sockets.h"
#include "watch.h"

namespace conntrace::bpftest {
namespace {

const TcpExistingInfo* adopted(const Watch& watch, std::uint64_t cookie) {
  const TcpExistingInfo* found = nullptr;
  for (const Event* event : watch.of(cookie)) {
    const auto* existing = get_if<EventKind::tcp_existing>(*event);
    if (existing == nullptr) continue;
    EXPECT_EQ(found, nullptr) << "adopted twice";
    EXPECT_EQ(event->header.pid, static_cast<std::uint32_t>(getpid()));
    EXPECT_EQ(event->header.start_time_ns, start_time_of_self());
    EXPECT_EQ(event->header.netns, netns_of_thread());
    found = existing;
  }
  return found;
}

TEST(Existing, ConnectionsAreAdoptedOnceAndFollowedToTheirEnd) {
  const UniqueFd listener = tcp_listener();
  Pair pair = connected_pair(listener);
  const auto client = cookie_of(pair.client);
  const auto server = cookie_of(pair.server);
  send_text(pair.client, "before");
  ASSERT_EQ(receive(pair.server), "before");
  Watch watch;
  watch.drain();
  const auto* outgoing = adopted(watch, client);
  ASSERT_TRUE(outgoing) << watch.dump();
  EXPECT_EQ(outgoing->direction, Direction::outgoing);
  EXPECT_EQ(outgoing->local, local_of(pair.client));
  EXPECT_EQ(outgoing->remote, remote_of(pair.client));
  EXPECT_EQ(outgoing->state, TcpState::ESTABLISHED);
  EXPECT_EQ(outgoing->fd, pair.client.get());
  EXPECT_EQ(outgoing->comm, comm_of_thread());
  const auto* incoming = adopted(watch, server);
  ASSERT_TRUE(incoming) << watch.dump();
  EXPECT_EQ(incoming->direction, Direction::incoming);
  EXPECT_EQ(incoming->fd, pair.server.get());

  send_text(pair.client, "after");
  ASSERT_EQ(receive(pair.server), "after");
  pair.server.reset();
  wait_for_state(pair.client, TcpState::CLOSE_WAIT);
  pair.client.reset();
  const auto* closed = watch.wait_for<EventKind::tcp_closed>(client);
  ASSERT_TRUE(closed);
  EXPECT_EQ(closed->bytes_sent, 11u);  // what was sent before is known, too
  EXPECT_EQ(watch.story(client), "tcp_existing tcp_send CLOSE_WAIT LAST_ACK CLOSE tcp_closed") << watch.dump();
  EXPECT_EQ(watch.wait_for<EventKind::tcp_send>(client)->bytes_sent, 6u);
}

TEST(Existing, ListenersGiveTheirOwnerToNewConnections) {
  const UniqueFd listener = tcp_listener();
  Watch watch;
  const Pair pair = connected_pair(listener);
  ASSERT_TRUE(watch.wait_for<EventKind::tcp_established>(cookie_of(pair.server)));
  EXPECT_EQ(watch.of(cookie_of(pair.server))[0]->header.pid, static_cast<std::uint32_t>(getpid()));
  EXPECT_EQ(watch.count(EventKind::tcp_existing), 0u) << watch.dump();
}

TEST(Existing, AddingAProcessTwiceAdoptsOnce) {
  const UniqueFd listener = tcp_listener();
  const Pair pair = connected_pair(listener);
  Watch watch;
  ASSERT_TRUE(watch.observer().add_process(getpid()));
  ASSERT_TRUE(watch.observer().add_process(getpid()));
  watch.drain();
  EXPECT_TRUE(adopted(watch, cookie_of(pair.client)));
  EXPECT_EQ(watch.count(EventKind::tcp_existing), 2u);
}

// More than the kernel gives in one read, with sent and received bytes of all kinds.
TEST(Existing, ThousandsAreAllAdopted) {
  rlimit limit{};
  ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &limit), 0);
  limit.rlim_cur = limit.rlim_max;
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &limit), 0);
  const std::size_t connections = limit.rlim_cur < 4200 ? (limit.rlim_cur - 200) / 2 : 2000;
  const UniqueFd listener = tcp_listener();
  std::vector<Pair> pairs;
  std::map<std::uint64_t, Direction> expected;
  for (std::size_t i = 0; i < connections; ++i) {
    pairs.push_back(connected_pair(listener));
    if (i % 3 == 0) send_text(pairs.back().client, std::string(1 + i % 100, 'q'));
    if (i % 4 == 0) send_text(pairs.back().server, std::string(1 + i % 70, 'a'));
    expected[cookie_of(pairs.back().client)] = Direction::outgoing;
    expected[cookie_of(pairs.back().server)] = Direction::incoming;
  }
  Watch watch;
  watch.drain();
  std::map<std::uint64_t, Direction> seen;
  for (const Event& event : watch.events()) {
    if (const auto* existing = get_if<EventKind::tcp_existing>(event)) {
      EXPECT_TRUE(seen.emplace(event.header.cookie, existing->direction).second) << "twice";
    }
  }
  EXPECT_EQ(seen.size(), expected.size());
  EXPECT_TRUE(seen == expected);
}

// A connection that was in no descriptor yet when the observer came is found when it is used.
TEST(Existing, WhatWasInTheAcceptQueueIsAdoptedOnUse) {
  const UniqueFd listener = tcp_listener();
  const UniqueFd client = tcp_socket();
  connect_to(client, listener);
  Watch watch;
  const UniqueFd server = accept_from(listener);
  const auto cookie = cookie_of(server);
  send_text(server, "hello");
  send_text(server, "hello");
  const auto* existing = watch.wait_for<EventKind::tcp_existing>(cookie);
  ASSERT_TRUE(existing);
  EXPECT_EQ(existing->direction, Direction::incoming);
  EXPECT_EQ(existing->local, local_of(server));
  watch.drain();
  EXPECT_EQ(watch.story(cookie), "tcp_existing tcp_send");
}

TEST(Existing, AnAddedProcessIsObservedFromThenOn) {
  Watch watch;
  Child child([](const Child::Ends& test) {
    const UniqueFd listener = tcp_listener();
    const Pair before = connected_pair(listener);
    test.give(cookie_of(before.client));
    test.wait_for_test();
    const Pair after = connected_pair(listener);
    test.give(cookie_of(after.client));
    test.wait_for_test();
    return 0;
  });
  const auto before = child.take<std::uint64_t>();
  watch.drain();
  ASSERT_TRUE(watch.of(before).empty());
  ASSERT_TRUE(watch.observer().add_process(child.pid()));
  child.go_on();
  const auto after = child.take<std::uint64_t>();
  ASSERT_TRUE(watch.wait_for<EventKind::tcp_existing>(before));
  ASSERT_TRUE(watch.wait_for<EventKind::tcp_established>(after));
  EXPECT_EQ(watch.of(after)[0]->header.pid, static_cast<std::uint32_t>(child.pid()));
  child.go_on();
  EXPECT_EQ(child.wait(), 0);
}

}  // namespace
}  // namespace conntrace::bpftest
