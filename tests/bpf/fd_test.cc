// SPDX-License-Identifier: Apache-2.0
#include <arpa/inet.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include <fstream>
#include <map>
#include <string>
#include <thread>
#include <vector>

#include "child.h"
#include "sockets.h"
#include "watch.h"

namespace conntrace::bpftest {
namespace {

struct Failed {
  int error;
  pid_t tid;
};

/// Uses up the descriptors of the calling process on another thread, and says with which error that ended.
Failed exhaust_descriptors(rlim_t limit) {
  const rlimit both{limit, limit};
  if (setrlimit(RLIMIT_NOFILE, &both) != 0) throw std::system_error(errno, std::system_category());
  Failed failed{};
  std::thread([&failed] {
    while (socket(AF_INET, SOCK_STREAM, 0) >= 0) {
    }
    failed = {errno, gettid()};
  }).join();
  return failed;
}

TEST(FdLimit, MomentIsSeenWithThreadAndSystemCall) {
  auto options = Watch::options_for({getpid()});
  options.census_interval_ms = 3'600'000;  // once at the start, and at the limit
  Watch watch(options);
  Child child([](const Child::Ends& test) {
    test.give(exhaust_descriptors(descriptors_in_proc(getpid()) + 10));
    test.wait_for_test();
    return 0;
  });
  const auto failed = child.take<Failed>();
  ASSERT_EQ(failed.error, EMFILE);
  const Event* hit = watch.wait("fd_limit_hit", [](const Event& e) { return e.kind() == EventKind::fd_limit_hit; });
  ASSERT_TRUE(hit);
  EXPECT_EQ(hit->header.pid, static_cast<std::uint32_t>(child.pid()));
  EXPECT_EQ(hit->header.tid, static_cast<std::uint32_t>(failed.tid));
  const auto* info = get_if<EventKind::fd_limit_hit>(*hit);
  EXPECT_EQ(info->error_number, failed.error);
  EXPECT_EQ(info->error, "EMFILE");
  EXPECT_EQ(info->syscall, static_cast<std::uint32_t>(SYS_socket));
  EXPECT_EQ(info->syscall_name, "socket");
  // The census comes with it, not with the clock.
  const Event* census = watch.wait("fd_census", [&](const Event& event) {
    return event.kind() == EventKind::fd_census && event.header.pid == static_cast<std::uint32_t>(child.pid());
  });
  ASSERT_TRUE(census);
  const auto* counted = get_if<EventKind::fd_census>(*census);
  EXPECT_EQ(counted->open, descriptors_in_proc(child.pid()));
  rlimit limit{};
  ASSERT_EQ(prlimit(child.pid(), RLIMIT_NOFILE, nullptr, &limit), 0);
  EXPECT_EQ(counted->soft_limit, limit.rlim_cur);
  EXPECT_EQ(counted->hard_limit, limit.rlim_max);
  child.go_on();
  EXPECT_EQ(child.wait(), 0);
}

TEST(FdLimit, PortsExhaustedIsToldOfConnectOnly) {
  Watch watch;
  int error = 0;
  std::thread([&error] {
    enter_new_netns();
    const UniqueFd listener = tcp_listener();
    std::ofstream("/proc/sys/net/ipv4/ip_local_port_range") << "20000 20000";  // below where the listener's port is
    const UniqueFd first = tcp_socket();
    connect_to(first, listener);
    const UniqueFd second = tcp_socket();
    try {
      connect_to(second, listener);
    } catch (const std::system_error& failed) {
      error = failed.code().value();
    }
    sockaddr_in elsewhere{};
    elsewhere.sin_family = AF_INET;
    elsewhere.sin_addr.s_addr = htonl(0xC0000201);
    EXPECT_EQ(bind(second.get(), reinterpret_cast<sockaddr*>(&elsewhere), sizeof elsewhere), -1);
    EXPECT_EQ(errno, EADDRNOTAVAIL);
  }).join();
  ASSERT_EQ(error, EADDRNOTAVAIL);
  watch.drain();
  ASSERT_EQ(watch.count(EventKind::fd_limit_hit), 1u) << watch.dump();
  for (const Event& event : watch.events()) {
    const auto* hit = get_if<EventKind::fd_limit_hit>(event);
    if (hit == nullptr) continue;
    EXPECT_EQ(hit->error_number, error);
    EXPECT_EQ(hit->syscall_name, "connect");
  }
}

TEST(FdCensus, IsTakenOfEveryObservedProcess) {
  auto options = Watch::options_for({getpid()});
  options.census_interval_ms = 1;
  Watch watch(options);
  Child child([](const Child::Ends& test) {
    for (int i = 0; i < 10; ++i) {
      if (dup(test.to_test) < 0) return 1;
    }
    test.give(1);
    test.wait_for_test();
    return 0;
  });
  ASSERT_EQ(child.take<int>(), 1);
  const auto open = descriptors_in_proc(child.pid());
  rlimit limit{};
  ASSERT_EQ(prlimit(child.pid(), RLIMIT_NOFILE, nullptr, &limit), 0);
  ASSERT_TRUE(watch.wait("fd_census of the child", [&](const Event& event) {
    const auto* census = get_if<EventKind::fd_census>(event);
    return census != nullptr && event.header.pid == static_cast<std::uint32_t>(child.pid()) && census->open == open &&
           census->soft_limit == limit.rlim_cur && census->hard_limit == limit.rlim_max;
  }));
  ASSERT_TRUE(watch.wait("fd_census of the test", [&](const Event& event) {
    const auto* census = get_if<EventKind::fd_census>(event);
    return census != nullptr && event.header.pid == static_cast<std::uint32_t>(getpid());
  }));
  child.go_on();
  EXPECT_EQ(child.wait(), 0);
}

/// What a child gives.
struct Text {
  char text[64];
};

/// class, state and peer of each entry, with its count.
std::map<std::string, std::uint64_t> classes_of(const FdCensusInfo& census) {
  std::map<std::string, std::uint64_t> classes;
  for (const FdClassCount& entry : census.classes) {
    std::string name(entry.kind);
    if (entry.state != TcpState::NONE) name += " " + std::string(to_string(entry.state));
    if (!entry.peer.empty()) name += " " + std::string(entry.peer);
    EXPECT_TRUE(classes.emplace(name, entry.count).second) << name << " twice";
  }
  return classes;
}

const FdCensusInfo* census_of(Watch& watch, pid_t pid, std::uint64_t open) {
  const Event* event = watch.wait("fd_census with " + std::to_string(open), [&](const Event& e) {
    const auto* census = get_if<EventKind::fd_census>(e);
    return census != nullptr && e.header.pid == static_cast<std::uint32_t>(pid) && census->open == open &&
           !census->classes.empty();
  });
  return event == nullptr ? nullptr : get_if<EventKind::fd_census>(*event);
}

TEST(FdCensus, SaysWhatDescriptorsAre) {
  auto options = Watch::options_for({getpid()});
  options.census_interval_ms = 1;
  Watch watch(options);
  Child child([](const Child::Ends& test) {
    // Nothing but what follows and the two pipes to the test.
    for (int fd = 0; fd < 1024; ++fd) {
      if (fd != test.to_test && fd != test.from_test) close(fd);
    }
    const UniqueFd listener = tcp_listener();
    std::vector<Pair> pairs;
    for (int i = 0; i < 5; ++i) pairs.push_back(connected_pair(listener));
    pairs[4].server.reset();
    wait_for_state(pairs[4].client, TcpState::CLOSE_WAIT);
    const UniqueFd six = tcp_listener(AF_INET6);
    const UniqueFd mapped = tcp_socket(AF_INET6);
    const UniqueFd unbound = tcp_socket();
    const UniqueFd datagrams(socket(AF_INET, SOCK_DGRAM, 0));
    const UniqueFd local(socket(AF_UNIX, SOCK_STREAM, 0));
    const UniqueFd netlink(socket(AF_NETLINK, SOCK_RAW, 0));
    const UniqueFd epoll(epoll_create1(0));
    const UniqueFd event(eventfd(0, 0));
    const UniqueFd event2(eventfd(0, 0));
    const UniqueFd timer(timerfd_create(CLOCK_MONOTONIC, 0));
    const UniqueFd directory(open("/", O_RDONLY | O_DIRECTORY));
    const UniqueFd file(open("/proc/self/exe", O_RDONLY));
    const UniqueFd null(open("/dev/null", O_RDONLY));
    const std::string peer = remote_of(pairs[0].client);
    char text[64] = {};
    peer.copy(text, sizeof text - 1);
    test.give(text);
    test.wait_for_test();
    return 0;
  });
  const std::string peer = child.take<Text>().text;
  const auto* census = census_of(watch, child.pid(), descriptors_in_proc(child.pid()));
  ASSERT_NE(census, nullptr);
  const std::map<std::string, std::uint64_t> expected = {{"tcp LISTEN", 2},
                                                         {"tcp ESTABLISHED " + peer, 4},
                                                         {"tcp CLOSE_WAIT " + peer, 1},
                                                         {"tcp ESTABLISHED 127.0.0.1", 4},
                                                         {"tcp CLOSE", 2},
                                                         {"udp", 1},
                                                         {"unix", 1},
                                                         {"netlink", 1},
                                                         {"eventpoll", 1},
                                                         {"eventfd", 2},
                                                         {"timerfd", 1},
                                                         {"directory", 1},
                                                         {"file", 1},
                                                         {"character", 1},
                                                         {"pipe", 2}};
  EXPECT_EQ(classes_of(*census), expected);
  child.go_on();
  EXPECT_EQ(child.wait(), 0);
}

TEST(FdCensus, OfManyPeersTheMostAreNamedAndNoneIsLeftOut) {
  auto options = Watch::options_for({getpid()});
  options.census_interval_ms = 1;
  Watch watch(options);
  Child child([](const Child::Ends& test) {
    std::vector<UniqueFd> listeners;
    std::vector<Pair> pairs;
    for (int i = 0; i < 100; ++i) {
      listeners.push_back(tcp_listener());
      for (int n = 0; n < (i == 50 ? 7 : 1); ++n) pairs.push_back(connected_pair(listeners.back()));
    }
    char text[64] = {};
    remote_of(pairs[50].client).copy(text, sizeof text - 1);
    test.give(text);
    test.wait_for_test();
    return 0;
  });
  const std::string most = child.take<Text>().text;
  const auto* census = census_of(watch, child.pid(), descriptors_in_proc(child.pid()));
  ASSERT_NE(census, nullptr);
  const auto classes = classes_of(*census);
  EXPECT_LE(classes.size(), 32u);
  EXPECT_EQ(classes.at("tcp ESTABLISHED " + most), 7u);
  std::uint64_t sum = 0;
  std::uint64_t connections = 0;
  for (const auto& [name, count] : classes) {
    sum += count;
    if (name.starts_with("tcp ESTABLISHED")) connections += count;
  }
  EXPECT_EQ(sum, census->open);
  EXPECT_EQ(connections, 2u * 106u);
  child.go_on();
  EXPECT_EQ(child.wait(), 0);
}

}  // namespace
}  // namespace conntrace::bpftest
