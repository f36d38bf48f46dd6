// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <map>
#include <string>

#include "agent/daemon/client_stream.h"
#include "agent/daemon/known_processes.h"
#include "agent/observer.h"

namespace conntrace::agent {

/// Somebody at the daemon's socket.
struct Client {
  enum class Stage {
    asking,    ///< its request is not whole yet
    watching,  ///< it gets events
    ending,    ///< it gets what waits for it, then the connection is closed
  };

  Client(std::uint64_t number, UniqueFd socket, std::size_t buffer_bytes, uid_t its_user, MonoTime patience_ends)
      : id(number), user(its_user), deadline(patience_ends), stream(std::move(socket), buffer_bytes) {}

  const std::uint64_t id;
  const uid_t user;   ///< as the kernel says (SO_PEERCRED)
  MonoTime deadline;  ///< for its request, and then for taking what waits for it at the end
  ClientStream stream;
  Stage stage = Stage::asking;
  bool blocked = false;        ///< wait until it takes more
  std::uint32_t interest = 0;  ///< what epoll is asked for
  std::string input;           ///< of its request
  Selection selection;
  /// What it watches, and since when: what had happened before was described to it. Not filled for root's `all`.
  std::map<ProcessKey, std::uint64_t> processes;
  bool describing = false;  ///< what is told to all now is what it asked for: however much that is, it is not lost

  [[nodiscard]] bool watching() const { return stage == Stage::watching; }
  /// All of its user, who is not root.
  [[nodiscard]] bool watches_own() const { return watching() && selection.all && user != 0; }
  [[nodiscard]] bool watches_all() const { return selection.all && user == 0; }
  [[nodiscard]] bool wants(const ProcessKey& process, std::uint64_t mono_ns) const {
    if (watches_all()) return true;
    const auto found = processes.find(process);
    return found != processes.end() && mono_ns >= found->second;
  }
};

}  // namespace conntrace::agent
