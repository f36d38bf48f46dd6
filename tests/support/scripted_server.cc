// SPDX-License-Identifier: Apache-2.0
#include "support/scripted_server.h"

#include <linux/sockios.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <stdexcept>
#include <thread>

#include "support/certificate.h"

namespace conntrace::test {

Peer::Peer(UniqueFd fd, ssl_ctx_st* tls) : fd_(std::move(fd)) {
  const timeval limit{.tv_sec = 10, .tv_usec = 0};
  setsockopt(fd_.get(), SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
  // What was written before reset() has been sent, then.
  const int on = 1;
  setsockopt(fd_.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  if (tls == nullptr) return;
  tls_ = SSL_new(tls);
  SSL_set_fd(tls_, fd_.get());
  if (SSL_accept(tls_) != 1) close();
}

Peer::~Peer() {
  close();
  SSL_free(tls_);
}

std::size_t Peer::receive(char* data, std::size_t size) {
  if (!fd_.valid()) return 0;
  ssize_t got = -1;
  do {  // with a limit it ends by EINTR when the process was stopped and goes on
    errno = 0;
    got = tls_ != nullptr ? SSL_read(tls_, data, static_cast<int>(size)) : recv(fd_.get(), data, size, 0);
  } while (got < 0 && errno == EINTR);
  return got > 0 ? static_cast<std::size_t>(got) : 0;
}

bool Peer::readable(std::chrono::milliseconds patience) const {
  if (!buffer_.empty() || (tls_ != nullptr && SSL_pending(tls_) > 0)) return true;
  pollfd one{fd_.get(), POLLIN, 0};
  return poll(&one, 1, static_cast<int>(patience.count())) > 0;
}

std::optional<std::string> Peer::read_until(std::string_view text) {
  for (;;) {
    if (const std::size_t at = buffer_.find(text); at != std::string::npos) {
      std::string found = buffer_.substr(0, at + text.size());
      buffer_.erase(0, found.size());
      return found;
    }
    char data[4096];
    const std::size_t got = receive(data, sizeof data);
    if (got == 0) return std::nullopt;
    buffer_.append(data, got);
  }
}

std::string Peer::read_bytes(std::size_t count) {
  while (buffer_.size() < count) {
    char data[65536];
    const std::size_t got = receive(data, sizeof data);
    if (got == 0) break;
    buffer_.append(data, got);
  }
  std::string bytes = buffer_.substr(0, count);
  buffer_.erase(0, bytes.size());
  return bytes;
}

void Peer::read_to_end() {
  char data[65536];
  while (receive(data, sizeof data) > 0) {
  }
}

void Peer::write(std::string_view text) {
  while (!text.empty() && fd_.valid()) {
    const ssize_t wrote = tls_ != nullptr ? SSL_write(tls_, text.data(), static_cast<int>(text.size()))
                                          : send(fd_.get(), text.data(), text.size(), MSG_NOSIGNAL);
    if (wrote <= 0) return;
    text.remove_prefix(static_cast<std::size_t>(wrote));
  }
}

void Peer::flush() const {
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(10);
  int unsent = 1;
  while (fd_.valid() && ioctl(fd_.get(), SIOCOUTQ, &unsent) == 0 && unsent > 0) {
    if (std::chrono::steady_clock::now() > end) throw std::runtime_error("what the peer wrote is not taken");
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
}

void Peer::respond(std::string_view body, std::string_view extra_headers) {
  std::string text = "HTTP/1.1 200 OK\r\nContent-Length: " + std::to_string(body.size()) + "\r\n";
  text += extra_headers;
  text += "\r\n";
  text += body;
  write(text);
}

void Peer::splice(std::uint16_t port) {
  const UniqueFd other(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (connect(other.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) return;
  char data[16384];
  pollfd both[] = {{fd_.get(), POLLIN, 0}, {other.get(), POLLIN, 0}};
  for (;;) {
    const bool held = !buffer_.empty() || (tls_ != nullptr && SSL_pending(tls_) > 0);
    if (!held && poll(both, 2, 10'000) <= 0) return;
    if (held || both[0].revents != 0) {
      const std::string bytes = buffer_.empty() ? std::string(data, receive(data, sizeof data)) : std::move(buffer_);
      buffer_.clear();
      if (bytes.empty()) return;
      if (send(other.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL) < 0) return;
    }
    if (!held && both[1].revents != 0) {
      const ssize_t got = recv(other.get(), data, sizeof data, 0);
      if (got <= 0) return;
      write({data, static_cast<std::size_t>(got)});
    }
  }
}

void Peer::close() {
  if (tls_ != nullptr && fd_.valid()) SSL_shutdown(tls_);
  // The number must not be given to another socket while the server may still shut it down: only the connection ends.
  shutdown(fd_.get(), SHUT_RDWR);
}

void Peer::reset() {
  const linger abort{.l_onoff = 1, .l_linger = 0};
  setsockopt(fd_.get(), SOL_SOCKET, SO_LINGER, &abort, sizeof abort);
  // connect(AF_UNSPEC) aborts a connection without giving the number away.
  sockaddr none{};
  none.sa_family = AF_UNSPEC;
  connect(fd_.get(), &none, sizeof none);
}

ScriptedServer::ScriptedServer(Script script, bool tls, Alpn alpn) : script_(std::move(script)) {
  listener_.reset(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  if (bind(listener_.get(), reinterpret_cast<sockaddr*>(&address), size) != 0 || listen(listener_.get(), 128) != 0 ||
      getsockname(listener_.get(), reinterpret_cast<sockaddr*>(&address), &size) != 0) {
    throw std::runtime_error(std::string("scripted server: ") + std::strerror(errno));
  }
  port_ = ntohs(address.sin_port);
  signal(SIGPIPE, SIG_IGN);  // OpenSSL writes without MSG_NOSIGNAL
  if (tls) tls_ = make_server_context(certificate_file_, alpn);
  acceptor_ = std::thread([this] { accept_all(); });
}

ScriptedServer::~ScriptedServer() {
  stopping_ = true;
  shutdown(listener_.get(), SHUT_RDWR);
  acceptor_.join();
  {
    const std::lock_guard lock(mutex_);
    for (const int fd : open_) shutdown(fd, SHUT_RDWR);
  }
  for (std::thread& thread : threads_) thread.join();
  SSL_CTX_free(tls_);
  if (!certificate_file_.empty()) unlink(certificate_file_.c_str());
}

void ScriptedServer::accept_all() {
  while (!stopping_) {
    UniqueFd fd(accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC));
    if (!fd.valid()) continue;
    const int number = accepted_++;
    {
      const std::lock_guard lock(mutex_);
      open_.push_back(fd.get());
    }
    threads_.emplace_back([this, number, fd = fd.release()]() mutable {
      Peer peer{UniqueFd(fd), tls_};
      script_(peer, number);
      const std::lock_guard lock(mutex_);
      open_.erase(std::find(open_.begin(), open_.end(), fd));
    });
  }
}

std::string ScriptedServer::url(std::string_view path) const {
  const bool tls = tls_ != nullptr;
  return std::string(tls ? "https" : "http") + "://127.0.0.1:" + std::to_string(port_) + std::string(path);
}

void answer_all(Peer& peer, int) {
  while (peer.read_head()) peer.respond();
}

}  // namespace conntrace::test
