// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <thread>

#include "agent/observer.h"
#include "agent/pending_questions.h"
#include "agent/process_info.h"
#include "conntrace/unique_fd.h"

namespace conntrace::agent {
namespace {

TEST(Census, CountsWhatTheProcessOpens) {
  const auto before = proc_fd_census(getpid());
  ASSERT_TRUE(before) << before.error().message();
  std::array<UniqueFd, 10> more;
  for (auto& fd : more) fd = UniqueFd(dup(STDIN_FILENO));
  const auto after = proc_fd_census(getpid());
  ASSERT_TRUE(after);
  const auto* first = get_if<EventKind::fd_census>(*before);
  const auto* second = get_if<EventKind::fd_census>(*after);
  EXPECT_EQ(second->open - first->open, more.size());
  rlimit limit{};
  ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &limit), 0);
  EXPECT_EQ(second->soft_limit, limit.rlim_cur);
  EXPECT_EQ(second->hard_limit, limit.rlim_max);
  EXPECT_EQ(after->header.source, Source::proc);
  EXPECT_EQ(after->header.pid, static_cast<std::uint32_t>(getpid()));
  EXPECT_EQ(after->header.start_time_ns, read_process_stat(getpid())->start_time_ns);
  EXPECT_FALSE(second->comm.empty());
}

TEST(Census, ProcessThatIsGone) {
  const pid_t child = fork();
  if (child == 0) _exit(0);
  ASSERT_EQ(waitpid(child, nullptr, 0), child);
  const auto census = proc_fd_census(child);
  ASSERT_FALSE(census);
  EXPECT_EQ(census.error().code, std::errc::no_such_process);
  EXPECT_FALSE(proc_fd_census(0));
  EXPECT_FALSE(proc_fd_census(-1));
}

TEST(ProcessInfo, ThreadIsNoProcess) {
  std::thread([] {
    const auto info = read_process_info(gettid());
    ASSERT_FALSE(info);
    EXPECT_EQ(info.error().code, std::errc::invalid_argument);
    EXPECT_NE(info.error().message().find(std::to_string(getpid())), std::string::npos);
  }).join();
}

TEST(ProcessInfo, AllProcessesHoldsThisOne) {
  const auto pids = all_processes();
  EXPECT_NE(std::find(pids.begin(), pids.end(), getpid()), pids.end());
}

TEST(Observer, SaysWhetherItIsBuilt) {
  if (built_with_bpf()) {
    EXPECT_FALSE(probe_hooks().empty());
    return;
  }
  const auto opened = Observer::open({}, [](const Event&) {});
  ASSERT_FALSE(opened);
  EXPECT_EQ(opened.error().code, Errc::not_built);
  EXPECT_TRUE(probe_hooks().empty());
}

TEST(PendingQuestions, AnswerFindsTheLastQuestionOnce) {
  PendingQuestions pending;
  const PendingQuestions::Key key{1, 2, 3, "api", "A"};
  pending.ask(key, {100, 7});
  pending.ask(key, {200, 8});
  EXPECT_FALSE(pending.answer({1, 2, 3, "api", "AAAA"}));
  const auto asked = pending.answer(key);
  ASSERT_TRUE(asked);
  EXPECT_EQ(asked->mono_ns, 200u);
  EXPECT_EQ(asked->tid, 8u);
  EXPECT_FALSE(pending.answer(key));
}

TEST(PendingQuestions, OldestAreForgotten) {
  PendingQuestions pending;
  for (std::uint64_t cookie = 0; cookie < 20'000; ++cookie) pending.ask({1, cookie, 3, "api", "A"}, {cookie, 7});
  EXPECT_FALSE(pending.answer({1, 0, 3, "api", "A"}));
  EXPECT_TRUE(pending.answer({1, 19'999, 3, "api", "A"}));
}

}  // namespace
}  // namespace conntrace::agent
