// SPDX-License-Identifier: Apache-2.0
#include "record/tap_server.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <utility>
#include <vector>

#include "record/quiet_thread.h"

namespace conntrace {
namespace {

using std::chrono::milliseconds;

/// Lines wait this long for company: one system call sends many.
constexpr milliseconds kLinger(5);
constexpr milliseconds kListenAgain(1000);
constexpr mode_t kOwnerOnly = 0600;

// What epoll calls its descriptors; readers are numbered from the last on.
constexpr std::uint64_t kListener = 0;
constexpr std::uint64_t kWakeup = 1;
constexpr std::uint64_t kFirstReader = 2;

UniqueFd open_spare() { return UniqueFd(open("/dev/null", O_RDONLY | O_CLOEXEC)); }

}  // namespace

Result<std::unique_ptr<TapServer>> TapServer::open(const TapOptions& options, Callbacks callbacks) {
  UniqueFd epoll(epoll_create1(EPOLL_CLOEXEC));
  if (!epoll.valid()) return Failure(system_error(errno, "epoll_create1"));
  UniqueFd event(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!event.valid()) return Failure(system_error(errno, "eventfd"));
  auto listener = UnixListener::listen(options.path, kOwnerOnly);
  if (!listener) return Failure(std::move(listener.error()));
  return std::unique_ptr<TapServer>(
      new TapServer(std::move(*listener), std::move(epoll), std::move(event), options, std::move(callbacks)));
}

TapServer::TapServer(UnixListener listener, UniqueFd epoll, UniqueFd event, const TapOptions& options,
                     Callbacks callbacks)
    : path_(listener.path()),
      buffer_bytes_(options.buffer_bytes),
      max_readers_(options.max_readers),
      patience_(options.patience),
      callbacks_(std::move(callbacks)),
      wakeup_(std::make_shared<TapWakeup>(std::move(event))),
      listener_(std::make_unique<UnixListener>(std::move(listener))),
      epoll_(std::move(epoll)),
      spare_(open_spare()),
      next_id_(kFirstReader) {
  watch(EPOLL_CTL_ADD, listener_->fd(), kListener, EPOLLIN);
  watch(EPOLL_CTL_ADD, wakeup_->fd(), kWakeup, EPOLLIN);
  thread_ = start_quiet_thread("conntrace-tap", [this] { run(); });
}

TapServer::~TapServer() {
  stopping_ = true;
  wakeup_->signal(true);
  thread_.join();
}

void TapServer::run() {
  std::array<epoll_event, 16> events;
  while (!stopping_) {
    const int ready = epoll_wait(epoll_.get(), events.data(), static_cast<int>(events.size()), wait_ms());
    for (int i = 0; i < ready; ++i) {
      const std::uint64_t id = events[static_cast<std::size_t>(i)].data.u64;
      if (id == kListener) {
        accept_readers();
      } else if (id == kWakeup) {
        const bool many = wakeup_->acknowledge_event();
        send_at_ = std::min(send_at_, many ? Clock::now() : Clock::now() + kLinger);
      } else {
        on_reader(id, events[static_cast<std::size_t>(i)].events);
      }
    }
    if (Clock::now() >= send_at_) send_to_all();
    if (Clock::now() >= listen_at_) resume_listening();
  }
  say_farewell();
}

int TapServer::wait_ms() const {
  const Clock::time_point next = std::min(send_at_, listen_at_);
  if (next == Clock::time_point::max()) return -1;
  const auto left = std::chrono::ceil<milliseconds>(next - Clock::now());
  return static_cast<int>(std::max<milliseconds::rep>(left.count(), 0));
}

void TapServer::accept_readers() {
  for (;;) {
    UniqueFd socket(accept4(listener_->fd(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
    if (socket.valid()) {
      if (!spare_.valid()) spare_ = open_spare();
      if (readers_.size() >= max_readers_) let_go_of_closed();
      if (readers_.size() < max_readers_ && peer_may_read(socket.get())) join(std::move(socket));
    } else if ((errno == EMFILE || errno == ENFILE) && spare_.valid()) {
      spare_.reset();  // a process without descriptors is one that somebody wants to look into
    } else if (errno != EINTR && errno != ECONNABORTED) {
      if (errno != EAGAIN) pause_listening();
      return;
    }
  }
}

void TapServer::join(UniqueFd socket) {
  const std::uint64_t id = next_id_++;
  Reader& reader = readers_[id];
  reader.sink = std::make_shared<TapReader>(std::move(socket), buffer_bytes_, wakeup_, process_);
  watch(EPOLL_CTL_ADD, reader.sink->fd(), id, EPOLLIN | EPOLLRDHUP);
  callbacks_.joined(reader.sink);
}

void TapServer::leave(std::uint64_t id) {
  const auto found = readers_.find(id);
  const std::shared_ptr<TapReader> sink = found->second.sink;
  readers_.erase(found);
  sink->close();  // which takes it out of the epoll set
  callbacks_.left(sink);
}

void TapServer::let_go_of_closed() {
  std::vector<std::uint64_t> closed;
  for (const auto& [id, reader] : readers_) {
    pollfd state{.fd = reader.sink->fd(), .events = 0, .revents = 0};
    if (poll(&state, 1, 0) == 1 && (state.revents & (POLLHUP | POLLERR)) != 0) closed.push_back(id);
  }
  for (const std::uint64_t id : closed) leave(id);
}

void TapServer::on_reader(std::uint64_t id, std::uint32_t events) {
  const auto found = readers_.find(id);
  if (found == readers_.end()) return;  // it left earlier in the same round
  Reader& reader = found->second;
  if ((events & (EPOLLERR | EPOLLHUP)) != 0) return leave(id);
  if ((events & (EPOLLIN | EPOLLRDHUP)) != 0) {
    char byte;
    const ssize_t got = recv(reader.sink->fd(), &byte, 1, MSG_DONTWAIT);
    if (got > 0 || (got < 0 && errno != EAGAIN && errno != EINTR)) return leave(id);  // a reader sends nothing
    if (got == 0) {
      reader.half_closed = true;
      watch_reader(id, reader);
    }
  }
  if ((events & EPOLLOUT) != 0) send(id);
}

void TapServer::send(std::uint64_t id) {
  Reader& reader = readers_.at(id);
  const TapReader::Sent sent = reader.sink->send();
  if (sent == TapReader::Sent::broken) return leave(id);
  if (sent == TapReader::Sent::more) send_at_ = Clock::now();
  const bool blocked = sent == TapReader::Sent::blocked;
  if (std::exchange(reader.blocked, blocked) != blocked) watch_reader(id, reader);
}

void TapServer::send_to_all() {
  send_at_ = Clock::time_point::max();
  wakeup_->acknowledge();
  std::vector<std::uint64_t> ready;
  for (const auto& [id, reader] : readers_) {
    if (!reader.blocked) ready.push_back(id);
  }
  for (const std::uint64_t id : ready) send(id);
}

void TapServer::say_farewell() {
  listener_.reset();
  for (const auto& [id, reader] : readers_) {
    reader.sink->retire();
    callbacks_.left(reader.sink);
  }
  const Clock::time_point end = Clock::now() + patience_;
  std::vector<pollfd> blocked;
  do {
    blocked.clear();
    bool more = false;
    std::erase_if(readers_, [&](const auto& entry) {
      const TapReader::Sent sent = entry.second.sink->send();
      if (sent == TapReader::Sent::all || sent == TapReader::Sent::broken) {
        entry.second.sink->close();
        return true;
      }
      more = more || sent == TapReader::Sent::more;
      blocked.push_back({.fd = entry.second.sink->fd(), .events = POLLOUT, .revents = 0});
      return false;
    });
    const auto left = std::chrono::ceil<milliseconds>(end - Clock::now()).count();
    if (!blocked.empty()) poll(blocked.data(), blocked.size(), more ? 0 : static_cast<int>(std::max<long>(left, 0)));
  } while (!blocked.empty() && Clock::now() < end);
  for (const auto& [id, reader] : readers_) reader.sink->close();
}

void TapServer::pause_listening() {
  watch(EPOLL_CTL_MOD, listener_->fd(), kListener, 0);
  listen_at_ = Clock::now() + kListenAgain;
}

void TapServer::resume_listening() {
  listen_at_ = Clock::time_point::max();
  if (!spare_.valid()) spare_ = open_spare();
  watch(EPOLL_CTL_MOD, listener_->fd(), kListener, EPOLLIN);
}

void TapServer::watch(int operation, int fd, std::uint64_t id, std::uint32_t events) const {
  epoll_event event{.events = events, .data = {.u64 = id}};
  epoll_ctl(epoll_.get(), operation, fd, &event);
}

void TapServer::watch_reader(std::uint64_t id, const Reader& reader) const {
  const std::uint32_t reads = reader.half_closed ? 0u : static_cast<std::uint32_t>(EPOLLIN | EPOLLRDHUP);
  watch(EPOLL_CTL_MOD, reader.sink->fd(), id, reads | (reader.blocked ? static_cast<std::uint32_t>(EPOLLOUT) : 0u));
}

}  // namespace conntrace
