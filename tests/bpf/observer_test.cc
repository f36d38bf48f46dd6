// SPDX-License-Identifier: Apache-2.0
#include <bpf/bpf.h>
#include <gmock/gmock.h>
#include <grp.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <sys/mount.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <map>
#include <set>

#include "child.h"
#include "sockets.h"
#include "watch.h"

namespace conntrace::bpftest {
namespace {

using agent::Observer;

/// The BPF programs of a process, as /proc shows them.
std::set<__u32> programs_of(pid_t pid) {
  std::set<__u32> programs;
  for (const auto& entry : std::filesystem::directory_iterator("/proc/" + std::to_string(pid) + "/fdinfo")) {
    std::ifstream file(entry.path());
    std::string name;
    for (__u32 value = 0; file >> name;) {
      if (name == "prog_id:" && file >> value) programs.insert(value);
    }
  }
  return programs;
}

bool exists(__u32 program) { return UniqueFd(bpf_prog_get_fd_by_id(program)).valid(); }

/// The kernel frees programs a little after their last descriptor.
void expect_gone(const std::set<__u32>& programs) {
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(20);
  while (std::any_of(programs.begin(), programs.end(), exists) && std::chrono::steady_clock::now() < deadline) {
    sched_yield();
  }
  for (const __u32 program : programs) EXPECT_FALSE(exists(program)) << program;
}

TEST(Observer, LossIsCountedExactly) {
  auto options = Watch::options_for({getpid()});
  options.selection.follow_children = false;
  options.fd_failures = false;
  Watch everything(options);
  options.ring_bytes = static_cast<std::uint32_t>(sysconf(_SC_PAGESIZE));
  Watch tiny(options);
  const UniqueFd listener = tcp_listener();
  std::vector<std::uint64_t> cookies;
  for (int i = 0; i < 200; ++i) {
    const Pair pair = connected_pair(listener);
    cookies.push_back(cookie_of(pair.client));
    cookies.push_back(cookie_of(pair.server));
    send_text(pair.client, "x");
    ASSERT_EQ(receive(pair.server), "x");
  }
  // The kernel ends a connection after its last descriptor is closed, and not always at once.
  for (const std::uint64_t cookie : cookies) ASSERT_NE(everything.wait_for<EventKind::tcp_closed>(cookie), nullptr);
  everything.drain();
  tiny.drain();
  ASSERT_TRUE(everything.observer().stats().losses.empty());
  std::uint64_t lost = 0;
  for (const auto& loss : tiny.observer().stats().losses) {
    EXPECT_EQ(loss.reason, GapReason::ring_full);
    lost += loss.count;
  }
  std::uint64_t told = 0;
  for (const Event& event : tiny.events()) {
    if (const auto* gap = get_if<EventKind::gap>(event)) {
      EXPECT_EQ(gap->reason, GapReason::ring_full);
      EXPECT_THAT(std::string(gap->where), testing::MatchesRegex("(tp_btf|fentry|fexit)/.+"));
      told += gap->lost;
    }
  }
  EXPECT_GT(lost, 0u);
  EXPECT_EQ(told, lost);
  EXPECT_EQ(tiny.events().size() - tiny.count(EventKind::gap) + lost, everything.events().size());
  EXPECT_EQ(tiny.observer().stats().delivered, tiny.events().size());
  // What was not lost came out of the ring, each record of each CPU.
  for (Watch* watch : {&everything, &tiny}) {
    const auto stats = watch->observer().stats();
    EXPECT_GT(stats.written, 0u);
    EXPECT_EQ(stats.read, stats.written);
  }
}

TEST(Observer, KilledObserverLeavesNothing) {
  Child child([](const Child::Ends& test) {
    const Watch watch;
    test.give(1);
    test.wait_for_test();
    return 0;
  });
  ASSERT_EQ(child.take<int>(), 1);
  const auto programs = programs_of(child.pid());
  ASSERT_GE(programs.size(), 10u);
  for (const __u32 program : programs) EXPECT_TRUE(exists(program));
  ASSERT_EQ(kill(child.pid(), SIGKILL), 0);
  ASSERT_TRUE(WIFSIGNALED(child.wait()));
  expect_gone(programs);
}

TEST(Observer, DestructionDetachesToo) {
  std::set<__u32> programs;
  {
    const Watch watch;
    programs = programs_of(getpid());
    ASSERT_GE(programs.size(), 10u);
  }
  EXPECT_TRUE(programs_of(getpid()).empty());
  expect_gone(programs);
}

/// What a child process says of its attempt to open an observer after `prepare`.
std::string open_error_after(const std::function<void()>& prepare, std::errc expected) {
  struct Answer {
    int as_expected;
    char text[1024];
  };
  Child child([&](const Child::Ends& test) {
    prepare();
    const auto opened = Observer::open(Watch::options_for({getpid()}), [](const Event&) {});
    Answer answer{};
    if (!opened) {
      answer.as_expected = opened.error().code == expected ? 1 : 0;
      opened.error().message().copy(answer.text, sizeof answer.text - 1);
    }
    test.give(answer);
    return 0;
  });
  const auto answer = child.take<Answer>();
  EXPECT_EQ(answer.as_expected, 1) << answer.text;
  return answer.text;
}

TEST(Observer, WithoutPrivilegesSaysWhichAndWhatToDo) {
  const std::string error = open_error_after(
      [] {
        if (setgroups(0, nullptr) != 0 || setresgid(65534, 65534, 65534) != 0 || setresuid(65534, 65534, 65534) != 0) {
          throw std::system_error(errno, std::system_category());
        }
      },
      std::errc::operation_not_permitted);
  EXPECT_THAT(error, testing::HasSubstr("CAP_BPF"));
  EXPECT_THAT(error, testing::HasSubstr("CAP_PERFMON"));
  EXPECT_THAT(error, testing::HasSubstr("sudo"));
}

TEST(Observer, WithoutBtfSaysSo) {
  const std::string error = open_error_after(
      [] {
        if (unshare(CLONE_NEWNS) != 0 || mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0 ||
            mount("none", "/sys/kernel/btf", "tmpfs", 0, nullptr) != 0) {
          throw std::system_error(errno, std::system_category());
        }
      },
      std::errc::no_such_file_or_directory);
  EXPECT_THAT(error, testing::HasSubstr("/sys/kernel/btf/vmlinux"));
}

TEST(Observer, WithoutCgroup2TheRestWorks) {
  Child child([](const Child::Ends& test) {
    // /proc/mounts of a mount namespace where every cgroup2 is gone.
    if (unshare(CLONE_NEWNS) != 0 || mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0) return 98;
    std::vector<std::string> mounts;
    std::ifstream table("/proc/self/mounts");
    for (std::string device, place, type, rest; table >> device >> place >> type && std::getline(table, rest);) {
      if (type == "cgroup2") mounts.push_back(place);
    }
    for (const auto& place : mounts) umount2(place.c_str(), MNT_DETACH);
    Watch watch;
    std::set<std::string> missing;
    for (const auto& hook : watch.observer().missing()) missing.insert(hook.name);
    const UniqueFd listener = tcp_listener();
    const Pair pair = connected_pair(listener);
    const bool seen = watch.wait_for<EventKind::tcp_established>(cookie_of(pair.client)) != nullptr;
    test.give(missing.count("cgroup_skb/egress") == 1 && missing.count("tp_btf/inet_sock_set_state") == 0);
    test.give(seen);
    return 0;
  });
  EXPECT_TRUE(child.take<bool>());
  EXPECT_TRUE(child.take<bool>());
  EXPECT_EQ(child.wait(), 0);
}

TEST(Observer, RefusesWhatIsNoProcess) {
  const auto ended = [] {
    Child child([](const Child::Ends&) { return 0; });
    const pid_t pid = child.pid();
    child.wait();
    return pid;
  }();
  const auto nobody = Observer::open(Watch::options_for({ended}), [](const Event&) {});
  ASSERT_FALSE(nobody);
  EXPECT_EQ(nobody.error().code, std::errc::no_such_process);
  Watch watch;
  EXPECT_FALSE(watch.observer().add_process(ended));
  EXPECT_FALSE(watch.observer().add_process(-1));
}

TEST(Observer, RefusesARingThatTheKernelCannotMake) {
  auto options = Watch::options_for({getpid()});
  options.ring_bytes = 5000;
  const auto opened = Observer::open(options, [](const Event&) {});
  ASSERT_FALSE(opened);
  EXPECT_EQ(opened.error().code, std::errc::invalid_argument);
}

TEST(Observer, ProbesAgreeWithWhatOpenUses) {
  Watch watch;
  std::map<std::string, bool> works;
  for (const auto& probe : agent::probe_hooks()) {
    EXPECT_TRUE(works.emplace(probe.name, probe.works).second) << probe.name;
    EXPECT_FALSE(probe.gives.empty()) << probe.name;
    EXPECT_NE(probe.works, !probe.error.empty()) << probe.name;
  }
  for (const auto& missing : watch.observer().missing()) EXPECT_FALSE(works.at(missing.name)) << missing.name;
  EXPECT_TRUE(works.at("tp_btf/inet_sock_set_state"));
}

TEST(Observer, PollWaitsNoLongerThanAsked) {
  Watch watch;
  watch.drain();
  const auto begin = std::chrono::steady_clock::now();
  const auto polled = watch.observer().poll(30);
  ASSERT_TRUE(polled);
  EXPECT_EQ(*polled, 0u);
  EXPECT_GE(std::chrono::steady_clock::now() - begin, std::chrono::milliseconds(29));
}

}  // namespace
}  // namespace conntrace::bpftest
