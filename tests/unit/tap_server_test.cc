// SPDX-License-Identifier: Apache-2.0
#include "record/tap_server.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <future>
#include <string>
#include <thread>
#include <vector>

#include "conntrace/recorder.h"
#include "tests/support/deadline.h"
#include "tests/support/stream_check.h"
#include "tests/support/temporary_folder.h"

namespace conntrace {
namespace {

using namespace std::chrono_literals;
using testing::eventually;

sockaddr_un address_of(const std::string& path) {
  sockaddr_un address{.sun_family = AF_UNIX, .sun_path = {}};
  std::memcpy(address.sun_path, path.data(), path.size());
  return address;
}

/// Connected, or not valid with errno set.
UniqueFd connect_to(const std::string& path) {
  UniqueFd fd(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  const sockaddr_un address = address_of(path);
  if (connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0) fd.reset();
  return fd;
}

/// Reads until `enough` holds, the stream's end, or the deadline.
template <class Enough>
std::string read_until(int fd, Enough enough) {
  std::string all;
  const auto end = std::chrono::steady_clock::now() + testing::kDeadline;
  while (!enough(all) && std::chrono::steady_clock::now() < end) {
    pollfd waited{.fd = fd, .events = POLLIN, .revents = 0};
    if (poll(&waited, 1, 100) <= 0) continue;
    char bytes[65536];
    const ssize_t got = read(fd, bytes, sizeof(bytes));
    if (got <= 0) break;
    all.append(bytes, static_cast<std::size_t>(got));
  }
  return all;
}

std::string read_to_end(int fd) {
  return read_until(fd, [](const std::string&) { return false; });
}

bool has_lines(const std::string& text, std::ptrdiff_t lines) {
  return std::count(text.begin(), text.end(), '\n') >= lines;
}

/// A tap without a transport: its readers get a recorder's records, which the test makes.
class TapServerTest : public ::testing::Test {
 protected:
  void TearDown() override { server_.reset(); }

  [[nodiscard]] std::string path() const { return folder_.path() + "/tap.sock"; }

  Result<std::unique_ptr<TapServer>> open(TapOptions options = {}) {
    if (options.path.empty()) options.path = path();
    return TapServer::open(options, {.joined =
                                         [this](const std::shared_ptr<TapReader>& reader) {
                                           recorder_.add_sink(reader);
                                           ++joined_;
                                         },
                                     .left =
                                         [this](const std::shared_ptr<TapReader>& reader) {
                                           recorder_.remove_sink(reader);
                                           ++left_;
                                         }});
  }
  void start(TapOptions options = {}) {
    auto server = open(options);
    ASSERT_TRUE(server) << server.error().message();
    server_ = std::move(*server);
  }
  /// A reader that the server knows of.
  UniqueFd join() {
    const int before = joined_;
    UniqueFd reader = connect_to(path());
    EXPECT_TRUE(reader.valid()) << strerror(errno);
    EXPECT_TRUE(eventually([&] { return joined_ > before; }));
    return reader;
  }
  void record(int number) {
    trace_->get_conn({.mono = MonoTime(number), .request = 1, .attempt = 1}, {.host_port = "api.example:80"});
  }

  test::TemporaryFolder folder_;
  Recorder recorder_;
  const std::shared_ptr<const ClientTrace> trace_ = recorder_.trace();
  std::atomic<int> joined_ = 0;
  std::atomic<int> left_ = 0;
  std::unique_ptr<TapServer> server_;
};

TEST_F(TapServerTest, ManyReadersGetTheWholeStream) {
  start({.patience = testing::kDeadline});
  std::vector<UniqueFd> readers;
  for (int i = 0; i < 8; ++i) readers.push_back(join());
  std::vector<std::future<std::string>> streams;
  for (const UniqueFd& reader : readers) streams.push_back(std::async(std::launch::async, read_to_end, reader.get()));
  for (int i = 1; i <= 2000; ++i) record(i);
  server_.reset();
  for (auto& stream : streams) {
    const std::vector<Event> events = testing::read_records(stream.get());
    EXPECT_EQ(testing::expect_whole_stream(events).records, 2002u);
    EXPECT_EQ(events[1].header.mono_ns, 1u);
  }
  EXPECT_EQ(left_, 8);
  EXPECT_FALSE(std::filesystem::exists(path()));
}

TEST_F(TapServerTest, RecordsComeWithoutMoreOfThem) {
  start();
  const UniqueFd reader = join();
  record(1);
  EXPECT_TRUE(has_lines(read_until(reader.get(), [](const std::string& text) { return has_lines(text, 2); }), 2));
  record(2);
  EXPECT_TRUE(has_lines(read_until(reader.get(), [](const std::string& text) { return has_lines(text, 1); }), 1));
}

TEST_F(TapServerTest, ASlowReaderLosesWholeRecordsAndIsTold) {
  start({.buffer_bytes = 100'000, .patience = testing::kDeadline});
  const UniqueFd slow = join();
  const UniqueFd quick = join();
  auto quick_stream = std::async(std::launch::async, read_to_end, quick.get());
  constexpr int kRecords = 20'000;  // some 3 MB: more than the socket and the buffer hold
  for (int i = 1; i <= kRecords; ++i) record(i);
  // It goes on reading after the loss, so it is told of it while it lives.
  std::string read = read_until(slow.get(), [](const std::string& text) {
    return text.find("\"kind\":\"gap\"") != std::string::npos && text.ends_with("\n");
  });
  record(kRecords + 1);
  auto rest = std::async(std::launch::async, read_to_end, slow.get());
  server_.reset();
  read += rest.get();

  const std::vector<Event> events = testing::read_records(read);
  const testing::StreamCount count = testing::expect_whole_stream(events);
  EXPECT_GT(count.lost, 1000u);
  EXPECT_EQ(count.records + count.lost, kRecords + 3u);
  std::uint64_t expected = 1;
  for (const Event& event : events) {
    if (const auto* const gap = get_if<EventKind::gap>(event)) {
      EXPECT_EQ(gap->reason, GapReason::slow_reader);
      EXPECT_EQ(gap->where, "tap");
      expected += gap->lost;
    } else if (event.kind() == EventKind::get_conn) {
      EXPECT_EQ(event.header.mono_ns, expected++) << "a gap stands where its records are missing";
    }
  }
  const testing::StreamCount quick_count = testing::expect_whole_stream(testing::read_records(quick_stream.get()));
  EXPECT_EQ(quick_count.records + quick_count.lost, kRecords + 3u);
}

TEST_F(TapServerTest, AReaderThatNeverReadsHoldsUpNobody) {
  start({.buffer_bytes = 50'000});
  const UniqueFd stuck = join();
  for (int i = 1; i <= 20'000; ++i) record(i);
  const auto begin = std::chrono::steady_clock::now();
  server_.reset();
  EXPECT_LT(std::chrono::steady_clock::now() - begin, testing::kDeadline);
  const std::string whole = read_to_end(stuck.get());
  EXPECT_GT(whole.size(), 10'000u) << "what was sent before is still there";
}

TEST_F(TapServerTest, AReaderThatGoesIsForgotten) {
  start();
  { const UniqueFd reader = join(); }
  EXPECT_TRUE(eventually([&] { return left_ == 1; }));
  record(1);

  // One that is killed while it has much to read.
  int ready[2];
  ASSERT_EQ(pipe(ready), 0);
  const pid_t child = fork();
  if (child == 0) {
    const UniqueFd reader = connect_to(path());
    (void)!write(ready[1], "x", 1);
    pause();
    _exit(0);
  }
  char byte;
  ASSERT_EQ(read(ready[0], &byte, 1), 1);
  ASSERT_TRUE(eventually([&] { return joined_ == 2; }));
  for (int i = 1; i <= 20'000; ++i) record(i);
  ASSERT_EQ(kill(child, SIGKILL), 0);
  ASSERT_EQ(waitpid(child, nullptr, 0), child);
  EXPECT_TRUE(eventually([&] { return left_ == 2; }));
  close(ready[0]);
  close(ready[1]);

  const UniqueFd next = join();
  record(7);
  EXPECT_TRUE(has_lines(read_until(next.get(), [](const std::string& text) { return has_lines(text, 2); }), 2));
}

TEST_F(TapServerTest, AReaderThatSendsIsTurnedAwayButOneThatOnlySaysItWillNotMayRead) {
  start();
  const UniqueFd quiet = join();
  ASSERT_EQ(shutdown(quiet.get(), SHUT_WR), 0);
  const UniqueFd chatty = join();
  ASSERT_EQ(send(chatty.get(), "GET / HTTP/1.1\r\n", 16, MSG_NOSIGNAL), 16);
  EXPECT_TRUE(eventually([&] { return left_ == 1; }));
  read_to_end(chatty.get());
  record(1);
  EXPECT_TRUE(has_lines(read_until(quiet.get(), [](const std::string& text) { return has_lines(text, 2); }), 2));
  EXPECT_EQ(left_, 1);
}

TEST_F(TapServerTest, TooManyReadersAreTurnedAway) {
  start({.max_readers = 2});
  UniqueFd first = join();
  const UniqueFd second = join();
  const UniqueFd third = connect_to(path());
  ASSERT_TRUE(third.valid());
  EXPECT_EQ(read_to_end(third.get()), "");
  EXPECT_EQ(joined_, 2);
  first.reset();
  EXPECT_TRUE(eventually([&] { return left_ == 1; }));
  join();
}

TEST_F(TapServerTest, OnlyTheOwnerAndRootMayRead) {
  start();
  struct stat info {};
  ASSERT_EQ(stat(path().c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 07777, 0600u);
  if (geteuid() != 0) GTEST_SKIP() << "needs root to become another user";

  // 0: turned away without a byte; 1: got something; 2: could not connect because of the file's mode.
  const auto as_nobody = [&] {
    const pid_t child = fork();
    if (child == 0) {
      if (setresgid(65534, 65534, 65534) != 0 || setresuid(65534, 65534, 65534) != 0) _exit(9);
      const UniqueFd reader = connect_to(path());
      if (!reader.valid()) _exit(errno == EACCES ? 2 : 8);
      char byte;
      _exit(read(reader.get(), &byte, 1) > 0 ? 1 : 0);
    }
    int status = 0;
    waitpid(child, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  };
  EXPECT_EQ(as_nobody(), 2);
  ASSERT_EQ(chmod(path().c_str(), 0666), 0);
  EXPECT_EQ(as_nobody(), 0);
  EXPECT_EQ(joined_, 0);
}

TEST_F(TapServerTest, TheSocketOfADeadProcessIsReplacedAndNothingElse) {
  {
    const UniqueFd dead(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    const sockaddr_un address = address_of(path());
    ASSERT_EQ(bind(dead.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)), 0);
    ASSERT_EQ(listen(dead.get(), 1), 0);
    const auto taken = open();
    ASSERT_FALSE(taken) << "it is not dead yet";
    EXPECT_EQ(taken.error().code, std::errc::address_in_use);
  }
  ASSERT_TRUE(std::filesystem::exists(path()));
  start();
  join();

  const auto second = open();
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().code, std::errc::address_in_use);
  EXPECT_NE(second.error().message().find(path()), std::string::npos) << second.error().message();
  join();

  const std::string file = folder_.path() + "/file";
  std::ofstream(file) << "precious";
  EXPECT_FALSE(open({.path = file}));
  EXPECT_EQ(std::filesystem::file_size(file), 8u);
  const std::string link = folder_.path() + "/link";
  std::filesystem::create_symlink(file, link);
  EXPECT_FALSE(open({.path = link}));
  EXPECT_TRUE(std::filesystem::is_symlink(link));
  EXPECT_EQ(open({.path = std::string(200, 'x')}).error().code, std::errc::filename_too_long);
  EXPECT_EQ(open({.path = folder_.path() + "/no/tap.sock"}).error().code, std::errc::no_such_file_or_directory);
}

TEST_F(TapServerTest, AnothersSocketIsLeftAlone) {
  if (geteuid() != 0) GTEST_SKIP() << "needs root to make a file of another user";
  {
    const UniqueFd dead(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    const sockaddr_un address = address_of(path());
    ASSERT_EQ(bind(dead.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)), 0);
  }
  ASSERT_EQ(lchown(path().c_str(), 65534, 65534), 0);
  const auto refused = open();
  ASSERT_FALSE(refused);
  EXPECT_NE(refused.error().message().find("65534"), std::string::npos) << refused.error().message();
  EXPECT_TRUE(std::filesystem::exists(path()));
}

TEST_F(TapServerTest, ASocketThatAnotherPutInItsPlaceIsNotRemoved) {
  start();
  std::filesystem::remove(path());
  std::ofstream(path()) << "another's";
  server_.reset();
  EXPECT_TRUE(std::filesystem::exists(path()));
}

TEST_F(TapServerTest, AProcessWithoutDescriptorsCanStillBeRead) {
  start();
  const UniqueFd reader(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  const UniqueFd next(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  rlimit before{};
  ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &before), 0);
  const UniqueFd highest(dup(next.get()));
  const rlimit none{.rlim_cur = static_cast<rlim_t>(highest.get()) + 1, .rlim_max = before.rlim_max};
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &none), 0);
  std::vector<UniqueFd> eaten;  // what is free below the limit
  for (UniqueFd more(dup(0)); more.valid(); more.reset(dup(0))) eaten.push_back(std::move(more));
  EXPECT_EQ(errno, EMFILE);
  const sockaddr_un address = address_of(path());
  EXPECT_EQ(connect(reader.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)), 0);
  EXPECT_TRUE(eventually([&] { return joined_ == 1; }));
  record(1);
  EXPECT_TRUE(has_lines(read_until(reader.get(), [](const std::string& text) { return has_lines(text, 2); }), 2));
  // There is no spare for the next; it waits, and comes in when there are descriptors again.
  EXPECT_EQ(connect(next.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)), 0);
  record(2);
  EXPECT_TRUE(has_lines(read_until(reader.get(), [](const std::string& text) { return has_lines(text, 1); }), 1));
  EXPECT_EQ(joined_, 1);
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &before), 0);
  EXPECT_TRUE(eventually([&] { return joined_ == 2; }));
}

TEST_F(TapServerTest, ReadersComeAndGoWhileRecordsAreMade) {
  start({.buffer_bytes = 200'000, .patience = testing::kDeadline});
  std::atomic<bool> stop = false;
  std::thread transport([&] {
    for (int i = 1; !stop; ++i) record(i);
  });
  std::vector<std::thread> users;
  for (int user = 0; user < 3; ++user) {
    users.emplace_back([&, user] {
      for (int i = 0; i < 20; ++i) {
        const UniqueFd reader = connect_to(path());
        const std::string text =
            read_until(reader.get(), [&](const std::string& t) { return has_lines(t, 10 * user); });
        const std::size_t whole = text.rfind('\n') + 1;
        if (user == 0) continue;
        EXPECT_GE(testing::read_records(text.substr(0, whole)).size(), 10u * static_cast<unsigned>(user));
      }
    });
  }
  for (std::thread& user : users) user.join();
  const UniqueFd last = join();
  auto stream = std::async(std::launch::async, read_to_end, last.get());
  server_.reset();
  stop = true;
  transport.join();
  testing::expect_whole_stream(testing::read_records(stream.get()));
  EXPECT_EQ(left_, joined_);
}

}  // namespace
}  // namespace conntrace
