// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>
#include <unistd.h>

#include <climits>
#include <cstdlib>
#include <thread>

#include "child.h"
#include "sockets.h"
#include "watch.h"

namespace conntrace::bpftest {
namespace {

const Event* first_of(Watch& watch, EventKind kind, pid_t pid) {
  return watch.wait(std::string(to_string(kind)) + " of " + std::to_string(pid), [&](const Event& event) {
    return event.kind() == kind && event.header.pid == static_cast<std::uint32_t>(pid);
  });
}

TEST(Process, SelectedOnesComeFirst) {
  Watch watch;
  ASSERT_FALSE(watch.events().empty());
  const auto* start = get_if<EventKind::process_start>(watch.events().front());
  ASSERT_TRUE(start);
  EXPECT_TRUE(start->existed_before);
  EXPECT_EQ(start->uid, getuid());
  EXPECT_EQ(start->comm, comm_of_thread());
  char exe[PATH_MAX] = {};
  ASSERT_GT(readlink("/proc/self/exe", exe, sizeof exe - 1), 0);
  EXPECT_EQ(start->exe, exe);
  EXPECT_EQ(watch.events().front().header.start_time_ns, start_time_of_self());
}

TEST(Process, ChildIsFollowedThroughForkExecAndExit) {
  Watch watch(Watch::options_for({getpid()}));
  Child child([](const Child::Ends& test) {
    const UniqueFd listener = tcp_listener();
    const Pair pair = connected_pair(listener);
    const std::uint64_t cookie = cookie_of(pair.client);
    test.give(cookie);
    test.give(start_time_of_self());
    if (dup2(test.from_test, STDIN_FILENO) < 0) return 98;
    execl("/bin/sh", "sh", "-c", "read go; exit 3", nullptr);
    return 97;
  });
  const auto cookie = child.take<std::uint64_t>();
  const auto start_time = child.take<std::uint64_t>();
  const Event* forked = first_of(watch, EventKind::process_start, child.pid());
  ASSERT_TRUE(forked);
  EXPECT_EQ(forked->header.start_time_ns, start_time);
  const auto* start = get_if<EventKind::process_start>(*forked);
  EXPECT_EQ(start->parent, static_cast<std::uint64_t>(getpid()));
  EXPECT_EQ(start->comm, comm_of_thread());
  EXPECT_EQ(start->exe, get_if<EventKind::process_start>(watch.events().front())->exe);
  EXPECT_FALSE(start->existed_before);
  ASSERT_TRUE(watch.wait_for<EventKind::tcp_established>(cookie));
  EXPECT_EQ(watch.of(cookie)[0]->header.pid, static_cast<std::uint32_t>(child.pid()));

  const Event* executed = watch.wait("exec", [](const Event& event) {
    const auto* info = get_if<EventKind::process_start>(event);
    return info != nullptr && info->comm == "sh";
  });
  ASSERT_TRUE(executed);
  EXPECT_EQ(executed->header.pid, static_cast<std::uint32_t>(child.pid()));
  EXPECT_EQ(executed->header.start_time_ns, start_time);
  const std::unique_ptr<char, void (*)(void*)> shell(realpath("/bin/sh", nullptr), std::free);
  EXPECT_EQ(get_if<EventKind::process_start>(*executed)->exe, shell.get());
  EXPECT_EQ(get_if<EventKind::process_start>(*executed)->parent, static_cast<std::uint64_t>(getpid()));

  child.end_input();
  const int status = child.wait();
  ASSERT_TRUE(WIFEXITED(status));
  ASSERT_EQ(WEXITSTATUS(status), 3);
  const Event* ended = first_of(watch, EventKind::process_exit, child.pid());
  ASSERT_TRUE(ended);
  EXPECT_EQ(get_if<EventKind::process_exit>(*ended)->exit_status, status);
  EXPECT_EQ(get_if<EventKind::process_exit>(*ended)->comm, "sh");
}

TEST(Process, KilledProcessShowsItsSignal) {
  Watch watch(Watch::options_for({getpid()}));
  Child child([](const Child::Ends& test) {
    test.give(1);
    test.wait_for_test();
    return 0;
  });
  ASSERT_EQ(child.take<int>(), 1);
  ASSERT_EQ(kill(child.pid(), SIGTERM), 0);
  const int status = child.wait();
  ASSERT_TRUE(WIFSIGNALED(status));
  const Event* ended = first_of(watch, EventKind::process_exit, child.pid());
  ASSERT_TRUE(ended);
  EXPECT_EQ(get_if<EventKind::process_exit>(*ended)->exit_status, status);
}

TEST(Process, ThreadsAreNoProcesses) {
  Watch watch(Watch::options_for({getpid()}));
  std::thread([] {}).join();
  watch.drain();
  EXPECT_EQ(watch.count(EventKind::process_start), 1u) << watch.dump();
  EXPECT_EQ(watch.count(EventKind::process_exit), 0u) << watch.dump();
}

TEST(Process, ProcessWithThreadsEndsOnce) {
  Watch watch(Watch::options_for({getpid()}));
  for (int round = 0; round < 20; ++round) {
    Child child([](const Child::Ends&) {
      for (int i = 0; i < 8; ++i) std::thread([] { pause(); }).detach();
      return 5;
    });
    ASSERT_EQ(WEXITSTATUS(child.wait()), 5);
  }
  watch.drain();
  EXPECT_EQ(watch.count(EventKind::process_exit), 20u);
}

TEST(Process, ChildrenAreNotFollowedUnlessAsked) {
  Watch watch;  // without children
  Child child([](const Child::Ends&) {
    const UniqueFd listener = tcp_listener();
    return connected_pair(listener).client.valid() ? 0 : 1;
  });
  ASSERT_EQ(child.wait(), 0);
  watch.drain();
  EXPECT_EQ(watch.count(EventKind::process_start), 1u) << watch.dump();
  EXPECT_EQ(watch.count(EventKind::tcp_connect), 0u) << watch.dump();
}

TEST(Process, AllMeansAll) {
  auto options = Watch::options_for({});
  options.selection.all = true;
  Watch watch(options);
  EXPECT_TRUE(first_of(watch, EventKind::process_start, 1));
  EXPECT_TRUE(first_of(watch, EventKind::process_start, getpid()));
  Child child([](const Child::Ends& test) {
    const UniqueFd listener = tcp_listener();
    test.give(cookie_of(connected_pair(listener).client));
    return 0;
  });
  const auto cookie = child.take<std::uint64_t>();
  ASSERT_TRUE(watch.wait_for<EventKind::tcp_established>(cookie));
  EXPECT_EQ(watch.of(cookie)[0]->header.pid, static_cast<std::uint32_t>(child.pid()));
  ASSERT_EQ(child.wait(), 0);
  EXPECT_TRUE(first_of(watch, EventKind::process_exit, child.pid()));
}

}  // namespace
}  // namespace conntrace::bpftest
