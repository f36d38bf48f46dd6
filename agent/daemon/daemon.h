// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "agent/daemon/client.h"
#include "agent/daemon/known_processes.h"
#include "agent/observer.h"
#include "conntrace/clock.h"
#include "conntrace/unique_fd.h"
#include "record/unix_listener.h"

namespace conntrace::agent {

struct DaemonOptions {
  std::string socket_path;
  std::size_t buffer_bytes = std::size_t{1} << 20;  ///< that may wait for each client
  std::size_t max_clients = 64;                     ///< root's not counted
  std::size_t max_clients_of_user = 16;             ///< root excepted
  ObserverOptions observer;                         ///< but for its selection
};

/// Lets others see what the kernel programs see: several clients at once on a Unix socket, each with a selection of its
/// own, and only of processes that are its user's (root: of all).
///
/// The programs are attached while somebody watches, and a few seconds longer, since loading them is dear; they observe
/// what somebody selected.
///
/// Threading: one thread. Blocking: run() only. Errors: open() says why the socket could not be had, or what the
///            kernel programs lack here.
/// Lifetime:  nothing is pinned: when the process dies, however, the kernel detaches everything.
class Daemon {
 public:
  [[nodiscard]] static Result<std::unique_ptr<Daemon>> open(const DaemonOptions& options);
  ~Daemon();

  /// Until SIGINT or SIGTERM; then every client gets what there is and its stream_end. SIGHUP is ignored.
  [[nodiscard]] Result<void> run();

 private:
  explicit Daemon(const DaemonOptions& options);

  [[nodiscard]] int wait_ms() const;
  [[nodiscard]] bool told_to_stop();
  void watch(int operation, int fd, std::uint64_t id, std::uint32_t events) const;
  void ask_epoll_for(Client& client);
  void accept_clients();
  void welcome(UniqueFd socket);
  void on_client(Client& client, std::uint32_t events);
  [[nodiscard]] bool read_input(Client& client);
  void obey(Client& client);
  void refuse(Client& client, const Error& why);
  void end(Client& client, std::string_view last_line);
  void send(Client& client);
  void send_to_all();
  void leave(std::uint64_t id);
  void tick();
  void say_farewell();
  [[nodiscard]] std::string status_line(const Client& asker) const;

  // daemon_watch.cc
  [[nodiscard]] Result<void> attach();
  [[nodiscard]] Result<void> start_watch(Client& client, const Selection& selection);
  [[nodiscard]] Result<void> add_all(Client& client);
  [[nodiscard]] Result<void> add_to(Client& client, const std::vector<pid_t>& pids);
  void add_new_processes();
  void check_owners();
  void take_from_those_who_may_not_see(const ProcessKey& process, std::optional<uid_t> owner);
  void route(const Event& event);
  void give(Client& client, const Event& event);
  void on_process_start(const Event& event, const ProcessKey& process);
  /// Gives the client all that has happened, and its stream_end.
  void finish(Client& client);
  void end_stream(Client& client);
  void give_gap(Client& client, std::string_view where);
  void forget_what_nobody_wants();

  const DaemonOptions options_;
  UniqueFd epoll_;
  UniqueFd signals_;
  std::optional<UnixListener> listener_;
  KnownProcesses processes_;
  std::unique_ptr<Observer> observer_;
  std::optional<MonoTime> unwatched_since_;  ///< since when nobody watches
  bool listener_paused_ = false;             ///< there was no descriptor for who connects
  std::map<std::uint64_t, std::unique_ptr<Client>> clients_;
  std::uint64_t next_id_;
  const MonoTime started_ = mono_now();
  MonoTime next_tick_{};
  std::string line_;  ///< of the event under way
};

}  // namespace conntrace::agent
