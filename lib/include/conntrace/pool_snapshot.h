// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstdint>
#include <string>

#include "conntrace/reasons.h"

namespace conntrace {

/// The pool's numbers at one moment, all taken together.
///
/// They balance: open = idle + active + dialling; dials = closed + open; closed is the sum over closed_by; queue_enters
/// = queue_leaves + waiting.
struct PoolSnapshot {
  std::uint64_t open = 0;
  std::uint64_t idle = 0;
  std::uint64_t active = 0;
  std::uint64_t dialling = 0;
  std::uint64_t waiting = 0;  ///< requests behind a limit
  std::uint64_t dials = 0;    ///< since the start, as all that follow
  std::uint64_t closed = 0;   ///< failed dials included
  std::uint64_t reused = 0;   ///< times a connection was used again
  std::uint64_t queue_enters = 0;
  std::uint64_t queue_leaves = 0;
  std::uint64_t refused = 0;  ///< requests that max_queue refused
  std::array<std::uint64_t, Names<CloseReason>::list.size()> closed_by{};

  /// How many were closed for this reason.
  [[nodiscard]] std::uint64_t closed_for(CloseReason reason) const {
    return closed_by[static_cast<std::size_t>(reason)];
  }
};

/// The same of one host: of all that has this proxy, scheme and authority.
struct HostSnapshot {
  std::string proxy;      ///< URL; empty: none
  std::string scheme;     ///< http or https
  std::string host_port;  ///< empty: all targets behind an http proxy
  std::uint64_t idle = 0;
  std::uint64_t active = 0;
  std::uint64_t dialling = 0;
  std::uint64_t waiting = 0;
};

}  // namespace conntrace
