// SPDX-License-Identifier: Apache-2.0
#include "transport/given_socket.h"

#include <fcntl.h>
#include <sys/un.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <utility>

namespace conntrace::transport {
namespace {

class Answer {
 public:
  Answer(std::shared_ptr<LoopGate> gate, std::function<void(Result<DialledSocket>)> take)
      : gate_(std::move(gate)), take_(std::move(take)) {}
  ~Answer() { give(Failure(make_error(Errc::dial_function_failed, "it gave up its completion uncalled"))); }
  Answer(const Answer&) = delete;
  Answer& operator=(const Answer&) = delete;

  void give(Result<DialledSocket> result) {
    if (given_.exchange(true)) return;
    // std::function wants to be copied, a descriptor does not.
    auto held = std::make_shared<Result<DialledSocket>>(std::move(result));
    gate_->post([take = std::move(take_), held] { take(std::move(*held)); });
  }

 private:
  const std::shared_ptr<LoopGate> gate_;
  std::function<void(Result<DialledSocket>)> take_;
  std::atomic<bool> given_ = false;
};

bool set_flag(int fd, int get, int set, int flag) {
  const int flags = fcntl(fd, get);
  return flags >= 0 && ((flags & flag) != 0 || fcntl(fd, set, flags | flag) == 0);
}

}  // namespace

DialCompletion one_answer(std::shared_ptr<LoopGate> gate, std::function<void(Result<DialledSocket>)> take) {
  auto answer = std::make_shared<Answer>(std::move(gate), std::move(take));
  return [answer = std::move(answer)](Result<DialledSocket> result) { answer->give(std::move(result)); };
}

Result<void> adopt_socket(int fd) {
  int type = 0;
  socklen_t size = sizeof type;
  sockaddr_storage peer{};
  socklen_t peer_size = sizeof peer;
  errno = 0;
  if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size) != 0 || type != SOCK_STREAM ||
      getpeername(fd, reinterpret_cast<sockaddr*>(&peer), &peer_size) != 0 ||
      !set_flag(fd, F_GETFL, F_SETFL, O_NONBLOCK) || !set_flag(fd, F_GETFD, F_SETFD, FD_CLOEXEC)) {
    int failed = 0;
    size = sizeof failed;
    if (errno == ENOTCONN && getsockopt(fd, SOL_SOCKET, SO_ERROR, &failed, &size) == 0 && failed != 0) {
      return Failure(system_error(failed, "the socket was connected, and has failed", Phase::connect));
    }
    const int error_number = fd < 0 ? EBADF : type == 0 || type == SOCK_STREAM ? errno : ESOCKTNOSUPPORT;
    return Failure(make_error(Errc::dial_function_failed,
                              std::string("it gave no connected stream socket: ") + std::strerror(error_number)));
  }
  return {};
}

UniqueFd make_placeholder(sockaddr& address, unsigned& size) {
  constexpr std::array<char, 2048> kFilling{};
  UniqueFd fd(socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd.valid()) return fd;
  const int least = 0;  // the kernel makes it some 4 KiB, of which a message may take a quarter
  const sockaddr any{.sa_family = AF_UNIX, .sa_data = {}};
  sockaddr_un self{};
  socklen_t self_size = sizeof self;
  // A name of the kernel's choice (unix(7), autobind): eight bytes.
  const bool made =
      setsockopt(fd.get(), SOL_SOCKET, SO_SNDBUF, &least, sizeof least) == 0 &&
      bind(fd.get(), &any, sizeof any.sa_family) == 0 &&
      getsockname(fd.get(), reinterpret_cast<sockaddr*>(&self), &self_size) == 0 && self_size <= sizeof address &&
      sendto(fd.get(), kFilling.data(), kFilling.size(), 0, reinterpret_cast<const sockaddr*>(&self), self_size) ==
          static_cast<ssize_t>(kFilling.size());
  if (!made) {
    const int error_number = errno;
    fd.reset();
    errno = error_number;
    return fd;
  }
  std::memcpy(&address, &self, self_size);
  size = self_size;
  return fd;
}

}  // namespace conntrace::transport
