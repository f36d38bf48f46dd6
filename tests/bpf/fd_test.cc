// SPDX-License-Identifier: Apache-2.0
#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <fstream>
#include <thread>

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

}  // namespace
}  // namespace conntrace::bpftest
