// SPDX-License-Identifier: Apache-2.0
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>
#include <thread>

#include "conntrace/event_json.h"
#include "conntrace/sink.h"
#include "conntrace/unique_fd.h"
#include "tests/support/deadline.h"
#include "tests/support/stream_check.h"
#include "tests/support/temporary_folder.h"

namespace conntrace {
namespace {

using namespace std::chrono_literals;

class FileSink : public ::testing::Test {
 protected:
  [[nodiscard]] std::string path(const char* name = "events.jsonl") const { return folder_.path() + "/" + name; }

  test::TemporaryFolder folder_;
};

std::string record(std::uint64_t number) {
  std::string line;
  append_json_line(make_event<EventKind::dns_start>({.mono_ns = number}, {.host = "api.example"}), line);
  return line;
}

std::string contents(const std::string& path) {
  std::ifstream file(path);
  std::stringstream all;
  all << file.rdbuf();
  return all.str();
}

std::string read_to_end(int fd) {
  std::string all;
  char bytes[65536];
  for (ssize_t got = 0; (got = read(fd, bytes, sizeof(bytes))) > 0;) all.append(bytes, static_cast<std::size_t>(got));
  return all;
}

struct Pipe {
  UniqueFd in, out;
  Pipe() {
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0) abort();
    out.reset(ends[0]);
    in.reset(ends[1]);
  }
};

TEST_F(FileSink, WritesWhatItIsGivenForTheOwnerOnly) {
  std::ofstream(path()) << "what was there before\n";
  std::filesystem::remove(path());
  std::string given;
  {
    auto sink = open_file_sink(path());
    ASSERT_TRUE(sink);
    for (std::uint64_t i = 1; i <= 10'000; ++i) {
      const std::string line = record(i);
      given += line;
      (*sink)->write(line, 1);
    }
    ASSERT_TRUE((*sink)->flush());
    EXPECT_EQ(contents(path()), given) << "flush waits for all that was written before";
    (*sink)->write("last\n", 1);
    EXPECT_EQ((*sink)->lost(), 0u);
  }
  EXPECT_EQ(contents(path()), given + "last\n") << "the destructor writes what is left";
  struct stat info {};
  ASSERT_EQ(stat(path().c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0600u);
}

TEST_F(FileSink, WritesByItselfAfterAMoment) {
  auto sink = open_file_sink(path());
  ASSERT_TRUE(sink);
  (*sink)->write(record(1), 1);
  EXPECT_TRUE(testing::eventually([&] { return contents(path()) == record(1); }));
}

TEST_F(FileSink, SaysWhyAFileCannotBeOpened) {
  const auto sink = open_file_sink(path("no/such/folder"));
  ASSERT_FALSE(sink);
  EXPECT_EQ(sink.error().code, std::errc::no_such_file_or_directory);
  EXPECT_NE(sink.error().message().find(path("no/such/folder")), std::string::npos);
}

TEST_F(FileSink, AFullDiskIsAnErrorOfFlushForEver) {
  auto sink = open_file_sink("/dev/full");
  ASSERT_TRUE(sink);
  EXPECT_TRUE((*sink)->flush()) << "nothing was written yet";
  (*sink)->write(record(1) + record(2), 2);
  for (int i = 0; i < 2; ++i) {
    const auto flushed = (*sink)->flush();
    ASSERT_FALSE(flushed);
    EXPECT_EQ(flushed.error().code, std::errc::no_space_on_device);
    EXPECT_NE(flushed.error().message().find("/dev/full"), std::string::npos);
  }
  EXPECT_EQ((*sink)->lost(), 2u);
}

TEST_F(FileSink, AFileThatTakesNoMoreKeepsWholeLinesAndTellsTheLossWhenItDoesAgain) {
  // RLIMIT_FSIZE stops a write in the middle, as a full disk does. In a child, since it is the process's.
  const pid_t child = fork();
  if (child == 0) {
    auto sink = open_file_sink(path());
    rlimit limit{.rlim_cur = 1000, .rlim_max = RLIM_INFINITY};
    setrlimit(RLIMIT_FSIZE, &limit);
    std::string lines;
    for (std::uint64_t i = 1; i <= 100; ++i) lines += record(i);
    (*sink)->write(lines, 100);
    const bool refused = !(*sink)->flush();
    const bool whole = contents(path()).ends_with("\n");
    const std::uint64_t lost = (*sink)->lost();
    limit.rlim_cur = RLIM_INFINITY;
    setrlimit(RLIMIT_FSIZE, &limit);
    (*sink)->write(record(101), 1);
    const bool remembered = !(*sink)->flush();
    std::ofstream(path("lost")) << lost;
    sink->reset();
    _exit(refused && whole && remembered ? 0 : 1);
  }
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  ASSERT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << status;

  const std::vector<Event> events = testing::read_records(contents(path()));
  const testing::StreamCount count = testing::count_stream(events);
  EXPECT_GT(count.lost, 50u);
  EXPECT_EQ(std::to_string(count.lost), contents(path("lost")));
  EXPECT_EQ(count.records + count.lost, 101u);
  ASSERT_GE(events.size(), 2u);
  const auto* const gap = get_if<EventKind::gap>(events[events.size() - 2]);
  ASSERT_NE(gap, nullptr) << "the gap stands where the records are missing";
  EXPECT_EQ(gap->reason, GapReason::write_failed);
  EXPECT_EQ(events.back().header.mono_ns, 101u);
}

TEST_F(FileSink, AFullBufferDropsCountsAndTells) {
  Pipe pipe;
  auto sink = make_descriptor_sink(pipe.in.get(), {.buffer_bytes = 100'000});
  // Nobody reads, so the pipe fills up, then the buffer.
  std::uint64_t given = 0;
  while (sink->lost() < 1000) sink->write(record(++given), 1);
  std::string all;
  std::thread reader([&] { all = read_to_end(pipe.out.get()); });
  EXPECT_TRUE(sink->flush());
  const std::uint64_t lost = sink->lost();
  sink->write(record(++given), 1);
  EXPECT_TRUE(sink->flush());
  EXPECT_EQ(sink->lost(), lost);
  sink.reset();
  pipe.in.reset();
  reader.join();

  const std::vector<Event> events = testing::read_records(all);
  const testing::StreamCount count = testing::count_stream(events);
  EXPECT_EQ(count.lost, lost);
  EXPECT_EQ(count.records + count.lost, given);
  std::uint64_t expected = 1;
  for (const Event& event : events) {
    if (const auto* const gap = get_if<EventKind::gap>(event)) {
      EXPECT_EQ(gap->reason, GapReason::slow_reader);
      EXPECT_EQ(event.header.pid, static_cast<std::uint32_t>(getpid()));
      expected += gap->lost;
    } else {
      EXPECT_EQ(event.header.mono_ns, expected++) << "a gap stands where its records are missing";
    }
  }
}

TEST_F(FileSink, AClosedPipeIsAnErrorAndNoSignal) {
  Pipe pipe;
  pipe.out.reset();
  auto sink = make_descriptor_sink(pipe.in.get());
  sink->write(record(1), 1);
  const auto flushed = sink->flush();
  ASSERT_FALSE(flushed);
  EXPECT_EQ(flushed.error().code, std::errc::broken_pipe);
  EXPECT_EQ(sink->lost(), 1u);
}

TEST_F(FileSink, AStuckReaderHoldsNobodyUpForLongerThanPatience) {
  Pipe pipe;
  auto sink = make_descriptor_sink(pipe.in.get(), {.buffer_bytes = 1u << 20, .patience = 100ms});
  for (std::uint64_t i = 0; i < 2000; ++i) sink->write(record(i), 1);
  const auto flushed = sink->flush();
  ASSERT_FALSE(flushed);
  EXPECT_EQ(flushed.error().code, Errc::timeout);
  EXPECT_EQ(sink->lost(), 0u) << "nothing is dropped: the reader may go on";
  const auto begin = std::chrono::steady_clock::now();
  sink.reset();
  EXPECT_LT(std::chrono::steady_clock::now() - begin, testing::kDeadline);
}

TEST_F(FileSink, ManyThreadsMayFlushWhileOneWrites) {
  auto sink = open_file_sink(path());
  ASSERT_TRUE(sink);
  std::vector<std::thread> flushers;
  for (int i = 0; i < 3; ++i) {
    flushers.emplace_back([&] {
      for (int j = 0; j < 50; ++j) EXPECT_TRUE((*sink)->flush());
    });
  }
  for (std::uint64_t i = 1; i <= 20'000; ++i) (*sink)->write(record(i), 1);
  for (std::thread& flusher : flushers) flusher.join();
  const std::uint64_t lost = (*sink)->lost();
  sink->reset();
  const testing::StreamCount count = testing::count_stream(testing::read_records(contents(path())));
  EXPECT_EQ(count.records + lost, 20'000u);
  EXPECT_EQ(count.lost, lost);
}

}  // namespace
}  // namespace conntrace
