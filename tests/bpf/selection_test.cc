// SPDX-License-Identifier: Apache-2.0
// A selection that changes while it is observed, as the daemon's does.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <deque>
#include <map>

#include "child.h"
#include "conntrace/event_json.h"
#include "sockets.h"
#include "watch.h"

namespace conntrace::bpftest {
namespace {

using ::testing::IsEmpty;

agent::ObserverOptions of_nobody() { return Watch::options_for({}); }

/// Of one process, what describe_process() says.
std::deque<Event> description(Watch& watch, pid_t pid) {
  std::deque<Event> events;
  EXPECT_TRUE(watch.observer().describe_process(pid, [&events](const Event& event) { events.push_back(own(event)); }));
  return events;
}

TEST(Selection, NobodyIsObservedUntilAdded) {
  Watch watch(of_nobody());
  const UniqueFd listener = tcp_listener();
  const Pair before = connected_pair(listener);
  watch.drain();
  EXPECT_THAT(watch.events(), IsEmpty()) << watch.dump();
  ASSERT_TRUE(watch.observer().add_process(getpid()));
  EXPECT_TRUE(watch.wait_for<EventKind::tcp_existing>(cookie_of(before.client)));
  const Pair after = connected_pair(listener);
  EXPECT_TRUE(watch.wait_for<EventKind::tcp_established>(cookie_of(after.client)));
}

TEST(Selection, RemovedProcessSaysNothingAndNoneOfItsSocketsDoes) {
  Watch watch(of_nobody());
  ASSERT_TRUE(watch.observer().add_process(getpid()));
  const UniqueFd listener = tcp_listener();
  Pair old = connected_pair(listener);
  ASSERT_TRUE(watch.wait_for<EventKind::tcp_established>(cookie_of(old.server)));
  ASSERT_TRUE(watch.observer().remove_process(getpid(), start_time_of_self()));
  watch.drain();
  const std::size_t until = watch.events().size();
  send_text(old.client, "unseen");
  ASSERT_EQ(receive(old.server), "unseen");
  old.client.reset();
  old.server.reset();
  const Pair fresh = connected_pair(listener);
  watch.drain();
  EXPECT_EQ(watch.events().size(), until) << watch.dump();

  ASSERT_TRUE(watch.observer().add_process(getpid()));
  EXPECT_TRUE(watch.wait_for<EventKind::tcp_existing>(cookie_of(fresh.client)));
}

TEST(Selection, AllMayBeObservedForAWhile) {
  Watch watch(of_nobody());
  Child other([](const Child::Ends& ends) {
    ends.wait_for_test();
    const UniqueFd listener = tcp_listener();
    const Pair pair = connected_pair(listener);
    ends.give(cookie_of(pair.client));
    ends.give(start_time_of_self());
    ends.wait_for_test();
    const Pair unseen = connected_pair(listener);
    ends.give(cookie_of(unseen.client));
    return 0;
  });
  ASSERT_TRUE(watch.observer().observe_all(true));
  other.go_on();
  EXPECT_TRUE(watch.wait_for<EventKind::tcp_established>(other.take<std::uint64_t>()));
  const auto started = other.take<std::uint64_t>();
  ASSERT_TRUE(watch.observer().observe_all(false));
  ASSERT_TRUE(watch.observer().remove_process(other.pid(), started));
  other.go_on();
  const auto cookie = other.take<std::uint64_t>();
  EXPECT_EQ(other.wait(), 0);
  watch.drain();
  EXPECT_THAT(watch.of(cookie), IsEmpty()) << watch.dump();
}

TEST(Selection, DescriptionRepeatsWhatOthersWereToldAndChangesNothing) {
  Watch watch(of_nobody());
  ASSERT_TRUE(watch.observer().add_process(getpid()));
  const UniqueFd listener = tcp_listener();
  const Pair pair = connected_pair(listener);
  ASSERT_TRUE(watch.wait_for<EventKind::tcp_established>(cookie_of(pair.server)));
  watch.drain();
  const std::size_t told = watch.events().size();
  for (int i = 0; i < 2; ++i) {
    const auto events = description(watch, getpid());
    ASSERT_EQ(events.size(), 3u);
    const auto* start = get_if<EventKind::process_start>(events[0]);
    ASSERT_NE(start, nullptr);
    EXPECT_TRUE(start->existed_before);
    std::map<std::uint64_t, const TcpExistingInfo*> sockets;
    for (const Event& event : events) {
      if (const auto* socket = get_if<EventKind::tcp_existing>(event)) sockets[event.header.cookie] = socket;
    }
    ASSERT_TRUE(sockets.contains(cookie_of(pair.client)));
    const TcpExistingInfo& client = *sockets[cookie_of(pair.client)];
    EXPECT_EQ(client.direction, Direction::outgoing);
    EXPECT_EQ(client.local, local_of(pair.client));
    EXPECT_EQ(client.remote, remote_of(pair.client));
    EXPECT_EQ(client.fd, pair.client.get());
    ASSERT_TRUE(sockets.contains(cookie_of(pair.server)));
    EXPECT_EQ(sockets[cookie_of(pair.server)]->direction, Direction::incoming);
  }
  watch.drain();
  EXPECT_EQ(watch.events().size(), told) << "told to the one who asked only";
  EXPECT_THAT(description(watch, 1), IsEmpty()) << "not observed";
}

TEST(Selection, CostsAreOfTheProgramsThatRun) {
  Watch watch;
  const auto costs = watch.observer().costs();
  ASSERT_TRUE(costs) << costs.error().message();
  EXPECT_TRUE(std::any_of(costs->begin(), costs->end(),
                          [](const auto& cost) { return cost.name == "tp_btf/inet_sock_set_state"; }));
}

}  // namespace
}  // namespace conntrace::bpftest
