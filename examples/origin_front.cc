// SPDX-License-Identifier: Apache-2.0
#include "origin_front.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <cstring>

namespace conntrace::example {
namespace {

using std::chrono::milliseconds;
constexpr MonoTime kAcceptPause = milliseconds(100);  // when descriptors run out
constexpr int kSendTimeoutMs = 5000;

int tcp_state(int fd) {
  tcp_info info{};
  socklen_t length = sizeof(info);
  return ::getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &length) == 0 ? info.tcpi_state : -1;
}

std::uint16_t port_of(const sockaddr_storage& address) {
  if (address.ss_family == AF_INET6) return ntohs(reinterpret_cast<const sockaddr_in6&>(address).sin6_port);
  return ntohs(reinterpret_cast<const sockaddr_in&>(address).sin_port);
}

std::uint64_t now_ns() { return static_cast<std::uint64_t>(mono_now().count()); }

/// All of it, or false: the client has gone, or takes nothing for too long.
bool send_all(int fd, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t sent = ::send(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (sent > 0) {
      bytes.remove_prefix(static_cast<std::size_t>(sent));
      continue;
    }
    if (errno == EINTR) continue;
    pollfd writable{fd, POLLOUT, 0};
    if (errno != EAGAIN || ::poll(&writable, 1, kSendTimeoutMs) != 1) return false;
  }
  return true;
}

}  // namespace

Result<std::unique_ptr<OriginFront>> OriginFront::open(OriginOptions options) {
  auto front = std::make_unique<OriginFront>(std::move(options));
  front->epoll_ = UniqueFd(::epoll_create1(EPOLL_CLOEXEC));
  front->wake_ = UniqueFd(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!front->epoll_.valid() || !front->wake_.valid()) return Failure(system_error(errno, "origin server"));
  front->port_ = front->options_.port;
  for (const std::string& address : front->options_.addresses) {
    if (auto listening = front->listen(address); !listening) return Failure(std::move(listening.error()));
  }
  epoll_event event{.events = EPOLLIN, .data = {.fd = front->wake_.get()}};
  ::epoll_ctl(front->epoll_.get(), EPOLL_CTL_ADD, front->wake_.get(), &event);
  front->pause_accepting(false);
  front->workers_ = std::make_unique<WorkerPool>(WorkerPoolOptions{
      .threads = front->options_.workers, .max_queue = front->options_.max_queue, .name = "origin-work"});
  return front;
}

Result<void> OriginFront::listen(const std::string& address) {
  sockaddr_storage storage{};
  auto& v4 = reinterpret_cast<sockaddr_in&>(storage);
  auto& v6 = reinterpret_cast<sockaddr_in6&>(storage);
  socklen_t length = sizeof(sockaddr_in);
  if (::inet_pton(AF_INET, address.c_str(), &v4.sin_addr) == 1) {
    v4.sin_family = AF_INET;
    v4.sin_port = htons(port_);
  } else if (::inet_pton(AF_INET6, address.c_str(), &v6.sin6_addr) == 1) {
    v6.sin6_family = AF_INET6;
    v6.sin6_port = htons(port_);
    length = sizeof(sockaddr_in6);
  } else {
    return Failure(make_error(Errc::invalid_request, "listen on " + address + ": not an IP address"));
  }
  const auto failed = [&] {
    return Failure(system_error(errno, "listen on " + address + " port " + std::to_string(port_)));
  };
  UniqueFd fd(::socket(storage.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd.valid()) return failed();
  const int on = 1;
  ::setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
  if (length == sizeof(sockaddr_in6)) ::setsockopt(fd.get(), IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on));
  if (::bind(fd.get(), reinterpret_cast<sockaddr*>(&storage), length) != 0) return failed();
  if (::listen(fd.get(), SOMAXCONN) != 0) return failed();
  length = sizeof(storage);
  if (::getsockname(fd.get(), reinterpret_cast<sockaddr*>(&storage), &length) != 0) return failed();
  port_ = port_of(storage);
  listeners_.push_back(std::move(fd));
  return {};
}

void OriginFront::stop() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  stopped_.notify_all();
  const std::uint64_t one = 1;
  [[maybe_unused]] const ssize_t written = ::write(wake_.get(), &one, sizeof(one));
}

std::vector<OriginConnection> OriginFront::connections() const {
  const std::lock_guard lock(mutex_);
  return log_;
}

void OriginFront::run() {
  std::array<epoll_event, 256> events{};
  for (;;) {
    MonoTime next = accept_again_;
    if (!deadlines_.empty() && (next.count() == 0 || deadlines_.begin()->first < next))
      next = deadlines_.begin()->first;
    int timeout = -1;
    if (next.count() != 0) {
      const auto left = std::chrono::ceil<milliseconds>(next - mono_now()).count();
      timeout = left > 0 ? static_cast<int>(left) : 0;
    }
    const int count = ::epoll_wait(epoll_.get(), events.data(), events.size(), timeout);
    for (int i = 0; i < count; ++i) {
      const int fd = events[static_cast<std::size_t>(i)].data.fd;
      if (fd == wake_.get()) {
        take_back();
      } else if (const auto found = connections_.find(fd); found != connections_.end()) {
        ready(*found->second);
      } else {
        for (const UniqueFd& listener : listeners_) {
          if (listener.get() == fd) accept_from(fd);
        }
      }
    }
    expire(mono_now());
    const std::lock_guard lock(mutex_);
    if (stopping_) break;
  }
  workers_.reset();  // runs what was accepted; nobody waits in a delay any more
  take_back();
  while (!connections_.empty()) {
    Connection& connection = *connections_.begin()->second;
    if (connection.state != State::lingering) end(connection, /*reset=*/false);
    drop(connection);
  }
  listeners_.clear();
}

void OriginFront::accept_from(int listener) {
  for (;;) {
    sockaddr_storage peer{};
    socklen_t length = sizeof(peer);
    UniqueFd fd(::accept4(listener, reinterpret_cast<sockaddr*>(&peer), &length, SOCK_CLOEXEC | SOCK_NONBLOCK));
    if (!fd.valid()) {
      if (errno == EMFILE || errno == ENFILE) pause_accepting(true);
      if (errno == ECONNABORTED || errno == EINTR) continue;
      return;
    }
    const int on = 1;
    ::setsockopt(fd.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    OriginConnection entry;
    entry.accepted_mono_ns = now_ns();
    entry.peer_port = port_of(peer);
    entry.local_port = port_;
    length = sizeof(entry.cookie);
    ::getsockopt(fd.get(), SOL_SOCKET, SO_COOKIE, &entry.cookie, &length);

    auto connection = std::make_unique<Connection>();
    connection->fd = std::move(fd);
    {
      const std::lock_guard lock(mutex_);
      connection->log = log_.size();
      log_.push_back(entry);
    }
    Connection& added = *connection;
    connections_.emplace(added.fd.get(), std::move(connection));
    watch(added, true);
    if (options_.idle_timeout.count() > 0) set_deadline(added, mono_now() + options_.idle_timeout);
  }
}

/// Out of descriptors, a listener stays readable; it must not be asked again at once.
void OriginFront::pause_accepting(bool pause) {
  for (const UniqueFd& listener : listeners_) {
    epoll_event event{.events = EPOLLIN, .data = {.fd = listener.get()}};
    ::epoll_ctl(epoll_.get(), pause ? EPOLL_CTL_DEL : EPOLL_CTL_ADD, listener.get(), &event);
  }
  accept_again_ = pause ? mono_now() + kAcceptPause : MonoTime{};
}

void OriginFront::ready(Connection& connection) {
  std::array<char, 16384> buffer;
  const ssize_t got = ::recv(connection.fd.get(), buffer.data(), buffer.size(), 0);
  if (got < 0 && (errno == EAGAIN || errno == EINTR)) return;
  if (got <= 0) {
    note_end(connection, EndedBy::client, /*reset=*/got < 0);
    drop(connection);
    return;
  }
  if (connection.state == State::lingering) {  // what comes after our FIN has no reader
    const std::lock_guard lock(mutex_);
    log_[connection.log].came_late = true;
    return;
  }
  connection.input.append(buffer.data(), static_cast<std::size_t>(got));
  take_request(connection);
}

/// Tells the client what this side knows, behind the status line.
void OriginFront::sign(Reply& reply, std::uint64_t cookie, std::uint64_t number) {
  const std::size_t line_end = reply.bytes.find("\r\n");
  if (line_end == std::string::npos) return;  // a reset says nothing
  reply.bytes.insert(line_end + 2,
                     "Origin-Connection: " + std::to_string(cookie) + "/" + std::to_string(number) + "\r\n");
}

/// Gives the next whole request to a worker, or goes on waiting for the rest of it.
void OriginFront::take_request(Connection& connection) {
  ParseResult parsed = parse_request(connection.input);
  if (parsed.state == ParseResult::State::need_more) return;
  if (parsed.state == ParseResult::State::bad) {
    [[maybe_unused]] const bool sent = send_all(connection.fd.get(), error_reply(parsed.status));
    end(connection, /*reset=*/false);
    return;
  }
  connection.input.erase(0, parsed.consumed);
  ++connection.requests;
  std::uint64_t cookie = 0;
  {
    const std::lock_guard lock(mutex_);
    OriginConnection& entry = log_[connection.log];
    entry.requests = connection.requests;
    cookie = entry.cookie;
  }
  const bool last = options_.max_requests_per_conn > 0 && connection.requests >= options_.max_requests_per_conn;
  connection.state = State::handling;
  set_deadline(connection, {});
  watch(connection, false);
  Reply reply = reply_to(parsed.request, last);
  sign(reply, cookie, connection.requests);
  const auto job = [this, &connection, reply = std::move(reply)] { handle(connection, reply); };
  if (workers_->submit(job)) return;
  watch(connection, true);
  [[maybe_unused]] const bool sent = send_all(connection.fd.get(), error_reply(503));
  end(connection, /*reset=*/false);
}

/// On a worker.
void OriginFront::handle(Connection& connection, const Reply& reply) {
  if (reply.delay.count() > 0) {
    std::unique_lock lock(mutex_);
    stopped_.wait_for(lock, reply.delay, [this] { return stopping_; });
  }
  if (reply.reset) {
    give_back(connection.fd.get(), Verdict::reset);
  } else {
    const bool sent = send_all(connection.fd.get(), reply.bytes);
    give_back(connection.fd.get(), sent && !reply.close ? Verdict::keep : Verdict::close);
  }
}

void OriginFront::give_back(int fd, Verdict verdict) {
  {
    const std::lock_guard lock(mutex_);
    returned_.emplace_back(fd, verdict);
  }
  const std::uint64_t one = 1;
  [[maybe_unused]] const ssize_t written = ::write(wake_.get(), &one, sizeof(one));
}

void OriginFront::take_back() {
  std::uint64_t count = 0;
  [[maybe_unused]] const ssize_t got = ::read(wake_.get(), &count, sizeof(count));
  std::vector<std::pair<int, Verdict>> returned;
  {
    const std::lock_guard lock(mutex_);
    returned.swap(returned_);
  }
  for (const auto& [fd, verdict] : returned) {
    Connection& connection = *connections_.at(fd);
    connection.state = State::reading;
    watch(connection, true);
    if (verdict != Verdict::keep) {
      end(connection, verdict == Verdict::reset);
      continue;
    }
    if (options_.idle_timeout.count() > 0) set_deadline(connection, mono_now() + options_.idle_timeout);
    if (workers_ && !connection.input.empty()) take_request(connection);  // it was pipelined
  }
}

void OriginFront::watch(Connection& connection, bool on) {
  epoll_event event{.events = EPOLLIN, .data = {.fd = connection.fd.get()}};
  ::epoll_ctl(epoll_.get(), on ? EPOLL_CTL_ADD : EPOLL_CTL_DEL, connection.fd.get(), &event);
}

void OriginFront::set_deadline(Connection& connection, MonoTime deadline) {
  if (connection.deadline.count() != 0) deadlines_.erase({connection.deadline, connection.fd.get()});
  connection.deadline = deadline;
  if (deadline.count() != 0) deadlines_.emplace(deadline, connection.fd.get());
}

void OriginFront::expire(MonoTime now) {
  if (accept_again_.count() != 0 && accept_again_ <= now) pause_accepting(false);
  while (!deadlines_.empty() && deadlines_.begin()->first <= now) {
    Connection& connection = *connections_.at(deadlines_.begin()->second);
    if (connection.state == State::lingering) {
      drop(connection);
    } else {
      end(connection, /*reset=*/false);
    }
  }
}

/// Sends FIN and lingers for the client's, or resets. Which FIN was first is read from the state machine of TCP.
void OriginFront::end(Connection& connection, bool reset) {
  const int fd = connection.fd.get();
  const int before = tcp_state(fd);
  if (before == TCP_CLOSE_WAIT || before == TCP_CLOSE) {
    note_end(connection, EndedBy::client, /*reset=*/before == TCP_CLOSE);
    drop(connection);
    return;
  }
  if (reset) {
    const linger abort{.l_onoff = 1, .l_linger = 0};
    ::setsockopt(fd, SOL_SOCKET, SO_LINGER, &abort, sizeof(abort));
    note_end(connection, EndedBy::server, /*reset=*/true);
    drop(connection);
    return;
  }
  ::shutdown(fd, SHUT_WR);
  const int after = tcp_state(fd);
  EndedBy by = EndedBy::server;                     // FIN_WAIT1, FIN_WAIT2, CLOSING
  if (after == TCP_LAST_ACK) by = EndedBy::client;  // its FIN came between the two looks
  if (after == TCP_CLOSE) by = EndedBy::unknown;    // both FINs have come and gone
  note_end(connection, by, /*reset=*/false);
  connection.state = State::lingering;
  set_deadline(connection, mono_now() + options_.linger);
}

/// The first end counts.
void OriginFront::note_end(const Connection& connection, EndedBy by, bool reset) {
  const std::lock_guard lock(mutex_);
  OriginConnection& entry = log_[connection.log];
  if (entry.ended_by != EndedBy::nobody_yet) return;
  entry.ended_by = by;
  entry.reset = reset;
  entry.ended_mono_ns = now_ns();
}

void OriginFront::drop(Connection& connection) {
  set_deadline(connection, {});
  connections_.erase(connection.fd.get());
}

}  // namespace conntrace::example
