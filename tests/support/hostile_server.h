// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "conntrace/unique_fd.h"

struct ssl_ctx_st;

namespace conntrace::test {

/// A listening socket on all of 127.0.0.0/8, and some threads that take what comes.
class Listener {
 public:
  /// Takes connections, one per thread at a time. The handler's descriptor is shut down when the Listener ends.
  using Handler = std::function<void(UniqueFd connection)>;
  Listener(std::size_t threads, Handler handler);
  ~Listener();
  Listener(const Listener&) = delete;
  Listener& operator=(const Listener&) = delete;

  [[nodiscard]] std::uint16_t port() const { return port_; }

 private:
  void take_all();

  Handler handler_;
  std::uint16_t port_ = 0;
  UniqueFd socket_;
  std::atomic<bool> stopping_ = false;
  std::mutex mutex_;
  std::vector<int> open_;
  std::vector<std::thread> threads_;
};

/// A server that does what the URL asks for (hostile_acts.h), mostly harm. What is idle is closed after a moment.
///
/// Its threads block SIGPIPE and leave the process's disposition alone: a library that raises one kills the test.
class HostileServer {
 public:
  explicit HostileServer(bool tls = false, std::size_t threads = 40);
  ~HostileServer();
  HostileServer(const HostileServer&) = delete;
  HostileServer& operator=(const HostileServer&) = delete;

  [[nodiscard]] std::uint16_t port() const { return listener_->port(); }
  [[nodiscard]] const std::string& certificate_file() const { return certificate_file_; }

 private:
  void serve(UniqueFd fd) const;

  ssl_ctx_st* tls_ = nullptr;
  std::string certificate_file_;
  std::unique_ptr<Listener> listener_;
};

/// Ports at which no request ever succeeds.
class HostileDoors {
 public:
  HostileDoors();

  [[nodiscard]] std::uint16_t refused() const { return refused_port_; }  ///< nobody listens
  [[nodiscard]] std::uint16_t fin() const { return fin_.port(); }        ///< accepts, and closes
  [[nodiscard]] std::uint16_t reset() const { return reset_.port(); }    ///< accepts, and resets
  [[nodiscard]] std::uint16_t mute() const { return mute_.port(); }      ///< accepts, and says nothing
  [[nodiscard]] std::uint16_t plain() const { return plain_.port(); }    ///< answers anything with HTTP in plain text
  [[nodiscard]] std::uint16_t deaf() const { return deaf_port_; }        ///< does not answer a SYN: its backlog is full

 private:
  std::uint16_t refused_port_ = 0;
  UniqueFd refused_;
  std::uint16_t deaf_port_ = 0;
  UniqueFd deaf_;
  std::vector<UniqueFd> fillers_;
  Listener fin_;
  Listener reset_;
  Listener mute_;
  Listener plain_;
};

}  // namespace conntrace::test
