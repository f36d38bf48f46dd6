// SPDX-License-Identifier: Apache-2.0
#include "support/hostile_server.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <stdexcept>

#include "support/certificate.h"
#include "support/hostile_acts.h"
#include "support/scripted_server.h"

namespace conntrace::test {
namespace {

/// A thread that waits for an idle client longer than that may be missed by the others. But a first request may come
/// late: closing before it would be a failure that no client can repair.
constexpr std::chrono::milliseconds kIdle(30);
constexpr std::chrono::milliseconds kBeforeFirst(10'000);

sockaddr_in address_of(std::uint16_t port, std::uint32_t host) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(host);
  return address;
}

/// A bound socket and its port.
UniqueFd bind_any(std::uint16_t& port) {
  UniqueFd fd(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in address = address_of(0, INADDR_ANY);
  socklen_t size = sizeof address;
  if (bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), size) != 0 ||
      getsockname(fd.get(), reinterpret_cast<sockaddr*>(&address), &size) != 0) {
    throw std::runtime_error("hostile server: bind");
  }
  port = ntohs(address.sin_port);
  return fd;
}

void abort_connection(UniqueFd fd) {
  const linger abort{.l_onoff = 1, .l_linger = 0};
  setsockopt(fd.get(), SOL_SOCKET, SO_LINGER, &abort, sizeof abort);
}

void swallow(const UniqueFd& fd) {
  char data[4096];
  while (recv(fd.get(), data, sizeof data, 0) > 0) {
  }
}

}  // namespace

Listener::Listener(std::size_t threads, Handler handler) : handler_(std::move(handler)), socket_(bind_any(port_)) {
  if (listen(socket_.get(), 1024) != 0) throw std::runtime_error("hostile server: listen");
  for (std::size_t i = 0; i < threads; ++i) threads_.emplace_back([this] { take_all(); });
}

Listener::~Listener() {
  stopping_ = true;
  shutdown(socket_.get(), SHUT_RDWR);
  {
    const std::lock_guard lock(mutex_);
    for (const int fd : open_) shutdown(fd, SHUT_RDWR);
  }
  for (std::thread& thread : threads_) thread.join();
}

void Listener::take_all() {
  sigset_t pipe;
  sigemptyset(&pipe);
  sigaddset(&pipe, SIGPIPE);
  pthread_sigmask(SIG_BLOCK, &pipe, nullptr);
  while (!stopping_) {
    UniqueFd fd(accept4(socket_.get(), nullptr, nullptr, SOCK_CLOEXEC));
    if (!fd.valid()) continue;
    const int number = fd.get();
    {
      const std::lock_guard lock(mutex_);
      if (stopping_) return;
      open_.push_back(number);
    }
    // A second descriptor keeps the number taken until it is off the list: shutdown() must not hit another socket.
    handler_(UniqueFd(fcntl(number, F_DUPFD_CLOEXEC, 0)));
    const std::lock_guard lock(mutex_);
    open_.erase(std::find(open_.begin(), open_.end(), number));
  }
}

HostileServer::HostileServer(bool tls, std::size_t threads) {
  if (tls) tls_ = make_server_context(certificate_file_);
  listener_ = std::make_unique<Listener>(threads, [this](UniqueFd fd) { serve(std::move(fd)); });
}

HostileServer::~HostileServer() {
  listener_.reset();
  SSL_CTX_free(tls_);
  if (!certificate_file_.empty()) unlink(certificate_file_.c_str());
}

void HostileServer::serve(UniqueFd fd) const {
  Peer peer(std::move(fd), tls_);
  for (auto patience = kBeforeFirst; peer.readable(patience); patience = kIdle) {
    const auto head = peer.read_head();
    if (!head) return;
    const auto errand = errand_of(*head);
    if (!errand || !perform(peer, *errand, *head)) return;
  }
}

HostileDoors::HostileDoors()
    : refused_(bind_any(refused_port_)),
      deaf_(bind_any(deaf_port_)),
      fin_(1, [](const UniqueFd&) {}),
      reset_(1, [](UniqueFd fd) { abort_connection(std::move(fd)); }),
      mute_(8, [](const UniqueFd& fd) { swallow(fd); }),
      plain_(1, [](UniqueFd fd) {
        Peer peer(std::move(fd), nullptr);
        if (peer.readable(kIdle)) peer.write("HTTP/1.0 400 Bad Request\r\nConnection: close\r\n\r\n");
      }) {
  if (listen(deaf_.get(), 0) != 0) throw std::runtime_error("hostile doors: listen");
  // Linux takes one more than the backlog; a few more to be sure, which never connect.
  for (int i = 0; i < 4; ++i) {
    UniqueFd filler(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    const sockaddr_in address = address_of(deaf_port_, INADDR_LOOPBACK);
    connect(filler.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address);
    if (i == 0) {
      pollfd connected{filler.get(), POLLOUT, 0};
      poll(&connected, 1, 5000);
    }
    fillers_.push_back(std::move(filler));
  }
}

}  // namespace conntrace::test
