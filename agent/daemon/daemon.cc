// SPDX-License-Identifier: Apache-2.0
#include "agent/daemon/daemon.h"

#include <fmt/format.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <utility>

#include "agent/daemon/request.h"
#include "agent/daemon/status.h"
#include "conntrace/clock.h"

namespace conntrace::agent {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr int kPollStepMs = 10;  // how late an event comes when the ring is not half full
constexpr MonoTime kTick = seconds(1);
constexpr MonoTime kPatience = seconds(10);  // for a request, and at the end for a client that takes nothing
constexpr MonoTime kLinger = seconds(5);     // attached without anybody who watches
constexpr int kAcceptsAtOnce = 16;           // so that who connects without end does not keep it from its work
constexpr int kReadsAtOnce = 16;             // of one client, however much it sends
constexpr mode_t kEverybody = 0666;          // who may see what is decided by the user at the other end

// What epoll calls its descriptors; clients are numbered from the last on.
constexpr std::uint64_t kListener = 0;
constexpr std::uint64_t kSignals = 1;
constexpr std::uint64_t kFirstClient = 2;

}  // namespace

Daemon::Daemon(const DaemonOptions& options) : options_(options), next_id_(kFirstClient) {}

Daemon::~Daemon() = default;

Result<std::unique_ptr<Daemon>> Daemon::open(const DaemonOptions& options) {
  std::unique_ptr<Daemon> daemon(new Daemon(options));
  // Whatever the kernel refuses is said now, not to the first client.
  if (auto attached = daemon->attach(); !attached) return Failure(std::move(attached).error());
  daemon->observer_.reset();

  sigset_t signals;
  sigemptyset(&signals);
  for (const int number : {SIGINT, SIGTERM, SIGHUP}) sigaddset(&signals, number);
  sigprocmask(SIG_BLOCK, &signals, nullptr);
  daemon->signals_ = UniqueFd(signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK));
  if (!daemon->signals_.valid()) return Failure(system_error(errno, "signalfd"));
  daemon->epoll_ = UniqueFd(epoll_create1(EPOLL_CLOEXEC));
  if (!daemon->epoll_.valid()) return Failure(system_error(errno, "epoll_create1"));
  auto listener = UnixListener::listen(options.socket_path, kEverybody);
  if (!listener) return Failure(std::move(listener).error());
  daemon->listener_.emplace(std::move(*listener));
  daemon->watch(EPOLL_CTL_ADD, daemon->listener_->fd(), kListener, EPOLLIN);
  daemon->watch(EPOLL_CTL_ADD, daemon->signals_.get(), kSignals, EPOLLIN);
  return daemon;
}

Result<void> Daemon::run() {
  std::array<epoll_event, 32> events;
  bool stopping = false;
  while (!stopping) {
    const int ready = epoll_wait(epoll_.get(), events.data(), static_cast<int>(events.size()), wait_ms());
    for (int i = 0; i < ready; ++i) {
      const std::uint64_t id = events[static_cast<std::size_t>(i)].data.u64;
      if (id == kListener) {
        accept_clients();
      } else if (id == kSignals) {
        stopping = told_to_stop();
      } else if (const auto found = clients_.find(id); found != clients_.end()) {
        on_client(*found->second, events[static_cast<std::size_t>(i)].events);
      }
    }
    if (observer_) {
      if (auto polled = observer_->poll(0); !polled) return Failure(std::move(polled).error());
    }
    send_to_all();
    if (mono_now() >= next_tick_) tick();
  }
  say_farewell();
  return {};
}

int Daemon::wait_ms() const {
  if (observer_) return kPollStepMs;
  if (clients_.empty() && !listener_paused_) return -1;
  return static_cast<int>(std::chrono::ceil<milliseconds>(kTick).count());
}

bool Daemon::told_to_stop() {
  signalfd_siginfo info{};
  bool stop = false;
  while (read(signals_.get(), &info, sizeof info) == sizeof info) stop = stop || info.ssi_signo != SIGHUP;
  return stop;
}

void Daemon::watch(int operation, int fd, std::uint64_t id, std::uint32_t events) const {
  epoll_event event{.events = events, .data = {.u64 = id}};
  epoll_ctl(epoll_.get(), operation, fd, &event);
}

void Daemon::accept_clients() {
  for (int i = 0; i < kAcceptsAtOnce; ++i) {
    UniqueFd socket(accept4(listener_->fd(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
    if (socket.valid()) {
      welcome(std::move(socket));
    } else if (errno != EINTR && errno != ECONNABORTED) {
      // Without a descriptor for it it would be told again at once: the next tick looks again.
      listener_paused_ = errno != EAGAIN;
      if (listener_paused_) watch(EPOLL_CTL_MOD, listener_->fd(), kListener, 0);
      return;
    }
  }
}

void Daemon::welcome(UniqueFd socket) {
  ucred peer{};
  socklen_t size = sizeof peer;
  if (getsockopt(socket.get(), SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0) return;
  const auto many = [&](std::size_t limit, const auto& counts) {
    return std::count_if(clients_.begin(), clients_.end(), counts) >= static_cast<std::ptrdiff_t>(limit);
  };
  if (peer.uid != 0 &&
      (many(options_.max_clients, [](const auto& entry) { return entry.second->user != 0; }) ||
       many(options_.max_clients_of_user, [&](const auto& entry) { return entry.second->user == peer.uid; }))) {
    const std::string refusal = refusal_line(system_error(EUSERS, "too many clients"));
    [[maybe_unused]] const ssize_t sent =
        ::send(socket.get(), refusal.data(), refusal.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
    return;
  }
  const std::uint64_t id = next_id_++;
  auto made = std::make_unique<Client>(id, std::move(socket), options_.buffer_bytes, peer.uid, mono_now() + kPatience);
  Client& client = *clients_.emplace(id, std::move(made)).first->second;
  client.interest = EPOLLIN;
  watch(EPOLL_CTL_ADD, client.stream.fd(), id, client.interest);
}

void Daemon::on_client(Client& client, std::uint32_t events) {
  if ((events & (EPOLLERR | EPOLLHUP)) != 0) return leave(client.id);
  if ((events & EPOLLIN) != 0 && !read_input(client)) return;
  if ((events & EPOLLOUT) != 0) {
    client.deadline = mono_now() + kPatience;  // it takes something
    send(client);
  }
}

// False: the client is gone.
bool Daemon::read_input(Client& client) {
  std::array<char, 4096> bytes;
  for (int i = 0; i < kReadsAtOnce && client.stage != Client::Stage::ending; ++i) {
    const ssize_t got = recv(client.stream.fd(), bytes.data(), bytes.size(), 0);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0 && errno == EAGAIN) return true;
    if (got < 0 || (got == 0 && client.stage == Client::Stage::asking)) {
      leave(client.id);
      return false;
    }
    if (got == 0) {
      finish(client);
      return true;
    }
    client.input.append(bytes.data(), static_cast<std::size_t>(got));
    if (client.watching()) {
      refuse(client, system_error(EINVAL, "a client sends one request only"));
    } else if (client.input.find('\n') != std::string::npos) {
      obey(client);
    } else if (client.input.size() > kMaxRequest) {
      refuse(client, system_error(EMSGSIZE, fmt::format("a request of more than {} bytes", kMaxRequest)));
    }
  }
  return true;
}

void Daemon::obey(Client& client) {
  const auto request = parse_request(std::string_view(client.input).substr(0, client.input.find('\n')));
  if (!request) return refuse(client, request.error());
  if (request->what == ClientRequest::What::status) return end(client, status_line(client));
  if (auto started = start_watch(client, request->selection); !started) refuse(client, started.error());
  // That may have taken long, and the ring fills meanwhile. What fails here fails in run(), too, and is said there.
  if (observer_) [[maybe_unused]]
    const auto polled = observer_->poll(0);
}

void Daemon::refuse(Client& client, const Error& why) {
  if (client.stage == Client::Stage::asking) return end(client, refusal_line(why));
  give_gap(client, why.message());  // its stream has begun: it ends as a stream
  end_stream(client);
}

void Daemon::end(Client& client, std::string_view last_line) {
  client.stage = Client::Stage::ending;
  client.deadline = mono_now() + kPatience;
  client.stream.end(last_line);
  ask_epoll_for(client);
}

void Daemon::leave(std::uint64_t id) {
  clients_.erase(id);
  forget_what_nobody_wants();
}

void Daemon::send(Client& client) {
  const ClientStream::Sent sent = client.stream.send();
  if (sent == ClientStream::Sent::broken || (sent == ClientStream::Sent::all && client.stream.ended())) {
    return leave(client.id);
  }
  client.blocked = sent == ClientStream::Sent::blocked;
  ask_epoll_for(client);
}

// One that ends is not listened to any more: it may have closed its side, or send without end.
void Daemon::ask_epoll_for(Client& client) {
  const std::uint32_t reads = client.stage == Client::Stage::ending ? 0u : static_cast<std::uint32_t>(EPOLLIN);
  const std::uint32_t writes = client.blocked ? static_cast<std::uint32_t>(EPOLLOUT) : 0u;
  if (std::exchange(client.interest, reads | writes) == (reads | writes)) return;
  watch(EPOLL_CTL_MOD, client.stream.fd(), client.id, client.interest);
}

void Daemon::send_to_all() {
  std::vector<std::uint64_t> ready;
  for (const auto& [id, client] : clients_) {
    if (!client->blocked) ready.push_back(id);
  }
  for (const std::uint64_t id : ready) {
    if (const auto found = clients_.find(id); found != clients_.end()) send(*found->second);
  }
}

void Daemon::tick() {
  const MonoTime now = mono_now();
  if (std::exchange(listener_paused_, false)) watch(EPOLL_CTL_MOD, listener_->fd(), kListener, EPOLLIN);
  std::vector<std::uint64_t> late;
  for (const auto& [id, client] : clients_) {
    if (!client->watching() && now > client->deadline) late.push_back(id);
  }
  for (const std::uint64_t id : late) leave(id);
  if (observer_) {
    check_owners();
    add_new_processes();
    forget_what_nobody_wants();  // children of those whose children nobody asked for
  }
  for (const ProcessKey& process : processes_.drop_old(now)) {
    for (const auto& [id, client] : clients_) client->processes.erase(process);
  }
  if (unwatched_since_ && now - *unwatched_since_ > kLinger) {
    observer_.reset();
    processes_.clear();
    unwatched_since_.reset();
  }
  next_tick_ = mono_now() + kTick;
}

// Nobody is listened to any more.
void Daemon::say_farewell() {
  listener_.reset();
  std::vector<std::uint64_t> asking;
  for (const auto& [id, client] : clients_) {
    if (client->watching()) finish(*client);
    if (client->stage == Client::Stage::asking) asking.push_back(id);
  }
  for (const std::uint64_t id : asking) leave(id);
  const MonoTime end = mono_now() + kPatience;
  std::array<epoll_event, 32> events;
  for (send_to_all(); !clients_.empty() && mono_now() < end;) {
    const int ready = epoll_wait(epoll_.get(), events.data(), static_cast<int>(events.size()), kPollStepMs);
    for (int i = 0; i < ready; ++i) {
      const auto found = clients_.find(events[static_cast<std::size_t>(i)].data.u64);
      if (found != clients_.end()) on_client(*found->second, events[static_cast<std::size_t>(i)].events);
    }
  }
}

std::string Daemon::status_line(const Client& asker) const {
  DaemonStatus status{.since = started_, .observing = observer_ != nullptr, .ring_bytes = options_.observer.ring_bytes};
  for (const auto& [id, client] : clients_) {
    if (!client->watching()) continue;
    if (asker.user != 0 && asker.user != client->user) continue;
    status.clients.push_back({.user = client->user,
                              .all = client->selection.all,
                              .processes = client->processes.size(),
                              .records = client->stream.records(),
                              .lost = client->stream.lost()});
  }
  if (observer_ && asker.user == 0) {
    status.processes = processes_.observed().size();
    status.observer = observer_->stats();
    status.missing = observer_->missing();
    if (auto costs = observer_->costs()) status.programs = std::move(*costs);
  }
  return to_line(status);
}

}  // namespace conntrace::agent
