// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>
#include <vector>

#include "agent/observer.h"
#include "conntrace/clock.h"

namespace conntrace::agent {

/// What a daemon says of itself: what it does, for whom, what it cost and lost.
struct DaemonStatus {
  struct OfClient {
    uid_t user = 0;
    bool all = false;
    std::uint64_t processes = 0;
    std::uint64_t records = 0;
    std::uint64_t lost = 0;
  };
  MonoTime since{};
  bool observing = false;  ///< the programs are attached: somebody watches
  std::uint64_t ring_bytes = 0;
  std::vector<OfClient> clients;  ///< those that watch, and that the asker may see
  // For root only.
  std::uint64_t processes = 0;
  ObserverStats observer;
  std::vector<HookProbe> missing;
  std::vector<ProgramCost> programs;
};

/// As one line of JSON, schema conntrace.agent/1.
[[nodiscard]] std::string to_line(const DaemonStatus& status);
/// What a client gets instead of what it asked for.
[[nodiscard]] std::string refusal_line(const Error& why);

}  // namespace conntrace::agent
