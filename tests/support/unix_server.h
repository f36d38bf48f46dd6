// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/socket.h>
#include <sys/un.h>

#include <atomic>
#include <cerrno>
#include <cstring>
#include <functional>
#include <mutex>
#include <string>
#include <system_error>
#include <thread>
#include <vector>

#include "support/scripted_server.h"
#include "support/temporary_folder.h"

namespace conntrace::test {

/// A server at a path of its own that runs a script for each connection, in a thread of its own.
class UnixServer {
 public:
  explicit UnixServer(ScriptedServer::Script script) : script_(std::move(script)) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::strncpy(address.sun_path, path_.c_str(), sizeof address.sun_path - 1);
    if (bind(listener_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0 ||
        listen(listener_.get(), 16) != 0) {
      throw std::system_error(errno, std::system_category(), path_);
    }
    acceptor_ = std::thread([this] { accept_all(); });
  }
  ~UnixServer() {
    shutdown(listener_.get(), SHUT_RDWR);
    acceptor_.join();
    {
      const std::lock_guard lock(mutex_);
      for (const UniqueFd& fd : open_) shutdown(fd.get(), SHUT_RDWR);
    }
    for (std::thread& thread : threads_) thread.join();
  }
  UnixServer(const UnixServer&) = delete;
  UnixServer& operator=(const UnixServer&) = delete;

  [[nodiscard]] const std::string& path() const { return path_; }
  [[nodiscard]] int connections() const { return accepted_; }

 private:
  void accept_all() {
    for (;;) {
      UniqueFd fd(accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC));
      if (!fd.valid()) return;
      const int number = accepted_++;
      const int mine = fd.get();
      const std::lock_guard lock(mutex_);
      open_.push_back(std::move(fd));
      threads_.emplace_back([this, mine, number] {
        Peer peer(UniqueFd(dup(mine)), nullptr);
        script_(peer, number);
        shutdown(mine, SHUT_RDWR);
      });
    }
  }

  const ScriptedServer::Script script_;
  TemporaryFolder folder_;
  const std::string path_ = folder_.path() + "/socket";
  UniqueFd listener_{socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)};
  std::atomic<int> accepted_ = 0;
  std::mutex mutex_;
  std::vector<UniqueFd> open_;  ///< shut down by the destructor, so that scripts end
  std::vector<std::thread> threads_;
  std::thread acceptor_;
};

}  // namespace conntrace::test
