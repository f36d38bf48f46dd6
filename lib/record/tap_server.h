// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <thread>

#include "conntrace/error.h"
#include "conntrace/tap.h"
#include "record/process_identity.h"
#include "record/tap_reader.h"
#include "record/unix_listener.h"

namespace conntrace {

/// The sockets of a Tap: accepts readers, sends them what is written to them, and says who comes and goes.
class TapServer {
 public:
  /// Both are called on the server's thread. After `left` nobody may hold the reader as a sink any more.
  struct Callbacks {
    std::function<void(const std::shared_ptr<TapReader>&)> joined;
    std::function<void(const std::shared_ptr<TapReader>&)> left;
  };

  /// `options.path` must be set.
  [[nodiscard]] static Result<std::unique_ptr<TapServer>> open(const TapOptions& options, Callbacks callbacks);
  /// Calls `left` for each reader, gives it until `patience` is over to take what is there, and removes the socket.
  ~TapServer();
  TapServer(const TapServer&) = delete;
  TapServer& operator=(const TapServer&) = delete;

  [[nodiscard]] const std::string& path() const { return path_; }

 private:
  using Clock = std::chrono::steady_clock;
  struct Reader {
    std::shared_ptr<TapReader> sink;
    bool blocked = false;      ///< wait until it takes more
    bool half_closed = false;  ///< it said that it sends nothing; it may read on
  };

  TapServer(UnixListener listener, UniqueFd epoll, UniqueFd event, const TapOptions& options, Callbacks callbacks);

  void run();
  [[nodiscard]] int wait_ms() const;
  void accept_readers();
  void join(UniqueFd socket);
  /// Readers that have gone, but whose turn has not come yet: they must not keep a new one out.
  void let_go_of_closed();
  void leave(std::uint64_t id);
  void on_reader(std::uint64_t id, std::uint32_t events);
  void send(std::uint64_t id);
  void send_to_all();
  void say_farewell();
  /// Nothing is accepted for a while; the descriptors are used up.
  void pause_listening();
  void resume_listening();
  void watch(int operation, int fd, std::uint64_t id, std::uint32_t events) const;
  void watch_reader(std::uint64_t id, const Reader& reader) const;

  const std::string path_;
  const std::size_t buffer_bytes_;
  const std::size_t max_readers_;
  const std::chrono::milliseconds patience_;
  const Callbacks callbacks_;
  const ProcessIdentity process_ = read_process_identity();
  const std::shared_ptr<TapWakeup> wakeup_;
  std::atomic<bool> stopping_ = false;

  // The thread's own.
  std::unique_ptr<UnixListener> listener_;
  UniqueFd epoll_;
  UniqueFd spare_;  ///< given up for a reader when no other descriptor is left
  std::map<std::uint64_t, Reader> readers_;
  std::uint64_t next_id_;
  Clock::time_point send_at_ = Clock::time_point::max();
  Clock::time_point listen_at_ = Clock::time_point::max();

  std::thread thread_;  // last: it uses all the others
};

}  // namespace conntrace
