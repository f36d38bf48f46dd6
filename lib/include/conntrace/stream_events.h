// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <tuple>

#include "conntrace/field.h"
#include "conntrace/reasons.h"
#include "conntrace/text.h"

namespace conntrace {

// Payloads that every source uses.

/// The first record of every stream, and of every stream appended to another.
struct StreamStartInfo {
  Text schema;
  Text wall_time;
  Text boot_id;
  Text host;
  Text comm;
  Text exe;
  Text cgroup;
  Text program;
  static constexpr auto fields() {
    return std::tuple{
        Field{"schema", &StreamStartInfo::schema, "conntrace.event/1"},
        Field{"wall_time", &StreamStartInfo::wall_time, "RFC 3339 UTC with nine digits, taken together with mono_ns"},
        Field{"boot_id", &StreamStartInfo::boot_id, "/proc/sys/kernel/random/boot_id"},
        Field{"host", &StreamStartInfo::host, "host name"},
        Field{"comm", &StreamStartInfo::comm, "command name of pid, if the stream is one process's"},
        Field{"exe", &StreamStartInfo::exe, "path of its executable"},
        Field{"cgroup", &StreamStartInfo::cgroup, "its cgroup2 path"},
        Field{"program", &StreamStartInfo::program, "what wrote the stream, with its version"}};
  }
};

/// The last record of a stream that ended in order.
struct StreamEndInfo {
  std::uint64_t records = 0;
  std::uint64_t lost = 0;
  static constexpr auto fields() {
    return std::tuple{
        Field{"records", &StreamEndInfo::records,
              "records of this stream, stream_start and this one included, gap records and lost ones not"},
        Field{"lost", &StreamEndInfo::lost, "records lost by this source"}};
  }
};

/// A counted loss.
struct GapInfo {
  std::uint64_t lost = 0;
  GapReason reason = {};
  Text where;
  static constexpr auto fields() {
    return std::tuple{Field{"lost", &GapInfo::lost, "how many records"}, Field{"reason", &GapInfo::reason, "why"},
                      Field{"where", &GapInfo::where, "the program, map or sink that lost them"}};
  }
};

}  // namespace conntrace
