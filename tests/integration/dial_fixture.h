// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <arpa/inet.h>
#include <sys/socket.h>

#include <array>
#include <condition_variable>
#include <deque>
#include <mutex>

#include "integration/transport_fixture.h"

namespace conntrace::test {

inline UniqueFd connect_to(std::uint16_t port) {
  UniqueFd fd(socket(AF_INET, SOCK_STREAM, 0));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  EXPECT_EQ(connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
  return fd;
}
inline DialFunction to_port(std::uint16_t port) {
  return [port](const DialRequest&, const DialCompletion& done) { done(DialledSocket{.fd = connect_to(port)}); };
}
inline std::array<UniqueFd, 2> make_pair() {
  int fds[2];
  EXPECT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
  return {UniqueFd(fds[0]), UniqueFd(fds[1])};
}
/// The other end of the pair was closed, now or soon.
inline bool is_closed(const UniqueFd& end) {
  timeval limit{.tv_sec = 20, .tv_usec = 0};
  setsockopt(end.get(), SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
  char byte = 0;
  return recv(end.get(), &byte, 1, 0) == 0;
}

/// Connections that the test makes.
class DialFunctionTest : public TransportTest {
 protected:
  /// Keeps what it is asked for; the test answers.
  DialFunction keep() {
    return [this](const DialRequest& request, DialCompletion done) {
      const std::lock_guard lock(mutex_);
      asked_.push_back({request, std::move(done)});
      changed_.notify_all();
    };
  }
  struct Asked {
    DialRequest request;
    DialCompletion done;
  };
  Asked next_asked() {
    std::unique_lock lock(mutex_);
    EXPECT_TRUE(changed_.wait_for(lock, std::chrono::seconds(20), [&] { return !asked_.empty(); }));
    if (asked_.empty()) return {};
    Asked asked = std::move(asked_.front());
    asked_.pop_front();
    return asked;
  }
  void expect_dial_error(const Result<Response>& result, const std::error_code& code) {
    ASSERT_FALSE(result);
    EXPECT_EQ(result.error().code, code) << result.error().message();
    EXPECT_EQ(result.error().phase, Phase::connect);
    EXPECT_EQ(hooks_.count(EventKind::connect_done), hooks_.count(EventKind::dial_done));
  }

  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<Asked> asked_;
};

}  // namespace conntrace::test
