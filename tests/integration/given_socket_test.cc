// SPDX-License-Identifier: Apache-2.0
// What a dial function's socket may be besides fresh: full, dead, or held by the application, too.
#include <gmock/gmock.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <filesystem>
#include <fstream>
#include <future>
#include <sstream>

#include "conntrace/worker_pool.h"
#include "integration/dial_fixture.h"
#include "support/deadline.h"

namespace conntrace::test {
namespace {

using std::chrono::milliseconds;
using ::testing::HasSubstr;

/// A pair whose first end takes no byte more.
std::array<UniqueFd, 2> make_full_pair() {
  auto ends = make_pair();
  const std::string much(65536, 'x');
  while (send(ends[0].get(), much.data(), much.size(), MSG_DONTWAIT) > 0) {
  }
  EXPECT_EQ(errno, EAGAIN);
  return ends;
}

/// Whether an epoll of this process is told of the socket, by whatever descriptor.
bool is_watched(const UniqueFd& fd) {
  struct stat status {};
  EXPECT_EQ(fstat(fd.get(), &status), 0);
  std::ostringstream inode;
  inode << "ino:" << std::hex << status.st_ino << ' ';
  for (const auto& info : std::filesystem::directory_iterator("/proc/self/fdinfo")) {
    std::ifstream file(info.path());
    for (std::string line; std::getline(file, line);) {
      if (line.starts_with("tfd:") && line.find(inode.str()) != std::string::npos) return true;
    }
  }
  return false;
}

class GivenSockets : public DialFunctionTest {
 protected:
  /// Gives out this end, and keeps a duplicate.
  DialFunction give(UniqueFd& end) {
    return [this, &end](const DialRequest&, const DialCompletion& done) {
      kept_.reset(dup(end.get()));
      done(DialledSocket{.fd = std::move(end)});
    };
  }

  UniqueFd kept_;
};

TEST_F(GivenSockets, OneThatTakesNothingIsBounded) {
  auto ends = make_full_pair();
  Client& client = use({.dial_timeout = milliseconds(50), .dial = give(ends[0])});
  const auto result = client.get("https://nowhere.invalid/");
  expect_dial_error(result, Errc::timeout);
  EXPECT_THAT(result.error().message(), HasSubstr("nowhere.invalid:443"));
  EXPECT_EQ(hooks_.count(EventKind::tls_handshake_start), 0u);
  EXPECT_EQ(transport_->pool_snapshot().dialling, 0u);
  EXPECT_FALSE(is_watched(kept_)) << "the loop would be told of what is no more";
}

TEST_F(GivenSockets, AbortedDialLeavesTheDuplicateAlone) {
  auto ends = make_full_pair();
  Client& client = use({.dial = give(ends[0])});
  std::stop_source stop;
  auto result = client.send_async({.url = "https://nowhere.invalid/", .stop = stop.get_token()});
  ASSERT_TRUE(hooks_.wait_for_count(EventKind::connect_done, 1));
  ASSERT_TRUE(conntrace::testing::eventually([&] { return is_watched(kept_); }));
  stop.request_stop();
  EXPECT_FALSE(result.get());
  transport_->close_idle_connections();
  ASSERT_TRUE(hooks_.wait_for_count(EventKind::dial_done, 1));
  EXPECT_FALSE(is_watched(kept_));
}

TEST_F(GivenSockets, FailedDialLeavesTheDuplicateAlone) {
  auto ends = make_full_pair();
  Client& client = use({.dial = give(ends[0])});
  auto result = client.send_async({.url = "https://nowhere.invalid/"});
  ASSERT_TRUE(hooks_.wait_for_count(EventKind::connect_done, 1));
  ASSERT_TRUE(conntrace::testing::eventually([&] { return is_watched(kept_); }));
  ends[1].reset();
  EXPECT_FALSE(result.get());
  EXPECT_FALSE(is_watched(kept_));
}

TEST_F(GivenSockets, TlsOverOneThatIsHeldElsewhere) {
  ScriptedServer server(answer_all, true);
  UniqueFd fd = connect_to(server.port());
  Client& client = use({.dial = give(fd), .tls = {.ca_file = server.certificate_file()}});
  for (int i = 0; i < 2; ++i) {
    const auto response = client.get("https://localhost/");
    ASSERT_TRUE(response) << response.error().message();
  }
  transport_->close_idle_connections();
  EXPECT_EQ(closed().by, ClosedBy::local);
  EXPECT_FALSE(is_watched(kept_));
}

// libcurl 8.1 and newer refuse to resolve them (RFC 7686). Who can connect to them has a dial function.
TEST_F(GivenSockets, NameThatLibcurlRefuses) {
  ScriptedServer server(answer_all, true);
  Client& client = use({.dial = to_port(server.port()), .tls = {.verify = false}});
  const auto response = client.get("https://hidden.onion/");
  ASSERT_TRUE(response) << response.error().message();
}

TEST_F(GivenSockets, ResetByThePeer) {
  ScriptedServer server([](Peer& peer, int) { peer.reset(); });
  Client& client = use({.dial = [&](const DialRequest&, const DialCompletion& done) {
    UniqueFd fd = connect_to(server.port());
    pollfd until{.fd = fd.get(), .events = 0, .revents = 0};
    EXPECT_EQ(poll(&until, 1, 20'000), 1);  // POLLHUP
    done(DialledSocket{.fd = std::move(fd)});
  }});
  const auto result = client.get("http://nowhere.invalid/");
  expect_dial_error(result, std::error_code(ECONNRESET, std::system_category()));
  EXPECT_EQ(hooks_.all<EventKind::connect_done>().at(0).error_number, ECONNRESET);
}

// The job of a dial that nobody waits for waits itself behind another one.
TEST_F(GivenSockets, PoolDoesNotDialForNobody) {
  auto workers = std::make_shared<WorkerPool>(WorkerPoolOptions{.threads = 1});
  std::promise<void> go_on;
  ASSERT_TRUE(workers->submit([ready = go_on.get_future().share()] { ready.wait(); }));
  std::atomic<int> dials = 0;
  Client& client = use({.dial_timeout = milliseconds(20), .dial = dial_on(workers, [&](const DialRequest&) {
                                                            ++dials;
                                                            return Result<DialledSocket>(
                                                                Failure(make_error(Errc::cancelled, "called")));
                                                          })});
  expect_dial_error(client.get("http://nowhere.invalid/"), Errc::timeout);
  go_on.set_value();
  std::promise<void> behind_it;
  ASSERT_TRUE(workers->submit([&] { behind_it.set_value(); }));
  behind_it.get_future().wait();
  EXPECT_EQ(dials, 0);
}

}  // namespace
}  // namespace conntrace::test
