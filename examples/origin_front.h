// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <condition_variable>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "conntrace/clock.h"
#include "conntrace/unique_fd.h"
#include "conntrace/worker_pool.h"
#include "origin_http.h"
#include "origin_server.h"

namespace conntrace::example {

/// The thread that accepts, waits for requests and closes; OriginServer is its handle.
///
/// A connection is either watched by epoll (reading, lingering) or lent to one worker (handling), never both.
class OriginFront {
 public:
  [[nodiscard]] static Result<std::unique_ptr<OriginFront>> open(OriginOptions options);
  explicit OriginFront(OriginOptions options) : options_(std::move(options)) {}

  /// Until stop(); on return everything is closed.
  void run();
  void stop();
  [[nodiscard]] std::uint16_t port() const { return port_; }
  [[nodiscard]] std::vector<OriginConnection> connections() const;

 private:
  enum class State { reading, handling, lingering };
  struct Connection {
    UniqueFd fd;
    State state = State::reading;
    std::string input;
    MonoTime deadline{};  ///< 0: none
    std::size_t log = 0;  ///< index in log_
    std::uint64_t requests = 0;
  };
  enum class Verdict { keep, close, reset };

  Result<void> listen(const std::string& address);
  void accept_from(int listener);
  void pause_accepting(bool pause);
  void ready(Connection& connection);
  void take_request(Connection& connection);
  static void sign(Reply& reply, std::uint64_t cookie, std::uint64_t number);
  void handle(Connection& connection, const Reply& reply);
  void give_back(int fd, Verdict verdict);
  void take_back();
  void watch(Connection& connection, bool on);
  void set_deadline(Connection& connection, MonoTime deadline);
  void expire(MonoTime now);
  void end(Connection& connection, bool reset);
  void note_end(const Connection& connection, EndedBy by, bool reset);
  void drop(Connection& connection);

  const OriginOptions options_;
  std::uint16_t port_ = 0;
  UniqueFd epoll_;
  UniqueFd wake_;
  std::vector<UniqueFd> listeners_;
  MonoTime accept_again_{};  ///< 0: accepting
  std::unordered_map<int, std::unique_ptr<Connection>> connections_;
  std::set<std::pair<MonoTime, int>> deadlines_;

  mutable std::mutex mutex_;
  std::condition_variable stopped_;
  bool stopping_ = false;
  std::vector<std::pair<int, Verdict>> returned_;
  std::vector<OriginConnection> log_;

  std::unique_ptr<WorkerPool> workers_;  ///< last: its jobs use the rest
};

}  // namespace conntrace::example
