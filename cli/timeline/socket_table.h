// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <unordered_map>
#include <vector>

#include "timeline/socket_state.h"

namespace conntrace::cli {

/// The sockets of one boot by (network namespace, cookie): the join of library and kernel.
class SocketTable {
 public:
  using Ptr = std::shared_ptr<SocketState>;

  /// The socket of a record. If the record or the socket does not say its namespace, the cookie alone decides, but only
  /// if it names one socket. Learns the namespace.
  [[nodiscard]] Ptr find(std::uint64_t netns, std::uint64_t cookie);
  /// Precondition: cookie is not 0, find() found nothing.
  Ptr add(std::uint64_t netns, std::uint64_t cookie);
  /// Whether the cookie is known in several namespaces, so that a record without one cannot be joined.
  [[nodiscard]] bool ambiguous(std::uint64_t netns, std::uint64_t cookie) const;
  /// Its timeline was given out. It is kept for a while, so that what still comes finds it.
  void retire(const Ptr& socket);
  [[nodiscard]] std::vector<Ptr> live() const;

 private:
  void forget(const Ptr& socket);
  std::unordered_map<std::uint64_t, std::vector<Ptr>> by_cookie_;
  std::deque<Ptr> retired_;
};

}  // namespace conntrace::cli
