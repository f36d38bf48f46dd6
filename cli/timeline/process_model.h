// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "conntrace/field.h"
#include "timeline/codes.h"

namespace conntrace::cli {

/// JSON path of a fact that is null or lacks something -> why. "phases.dns.kernel" -> "no kernel source observed …"
using Unavailable = std::map<std::string, std::string>;

struct Finding {
  std::string code;  ///< a FindingCode; a string, so that files of newer versions can be shown
  Severity severity = Severity::info;
  std::string text;
  static constexpr auto fields() {
    return std::tuple{Field{"code", &Finding::code, "one of docs/findings.md"},
                      Field{"severity", &Finding::severity, "how much it matters"},
                      Field{"text", &Finding::text, "what happened, with numbers, and the setting to change"}};
  }
};

struct ProcessFacts {
  std::uint32_t pid = 0;
  std::optional<std::string> comm;
  std::optional<std::string> exe;
  std::optional<std::uint64_t> start_time_ns;
  std::optional<std::uint64_t> netns;
  std::optional<std::string> cgroup;
  static constexpr auto fields() {
    return std::tuple{
        Field{"pid", &ProcessFacts::pid, "process, 0 if it is not known"},
        Field{"comm", &ProcessFacts::comm, "command name"},
        Field{"exe", &ProcessFacts::exe, "path of the executable"},
        Field{"start_time_ns", &ProcessFacts::start_time_ns, "start since boot, in steps of 10 ms; tells a reused pid"},
        Field{"netns", &ProcessFacts::netns, "inode of its network namespace"},
        Field{"cgroup", &ProcessFacts::cgroup, "cgroup2 path"}};
  }
};

struct FdClass {
  std::string name;
  std::optional<std::string> state;
  std::optional<std::string> peer;
  std::uint64_t count = 0;
  bool operator==(const FdClass&) const = default;
  static constexpr auto fields() {
    return std::tuple{
        Field{"class", &FdClass::name, "kind of descriptor: tcp, udp, unix, file, pipe, eventpoll, …"},
        Field{"state", &FdClass::state, "TCP state"},
        Field{"peer", &FdClass::peer, "ip:port; ip alone if this side accepted; null: it has none, or several"},
        Field{"count", &FdClass::count, "how many"}};
  }
};

/// Descriptors of a process at one moment.
struct FdFacts {
  std::uint64_t open = 0;
  std::optional<std::uint64_t> soft_limit;
  std::optional<std::uint64_t> hard_limit;
  std::uint64_t limit_hits = 0;
  static constexpr auto fields() {
    return std::tuple{
        Field{"open", &FdFacts::open, "open descriptors"},
        Field{"soft_limit", &FdFacts::soft_limit, "RLIMIT_NOFILE, soft"},
        Field{"hard_limit", &FdFacts::hard_limit, "RLIMIT_NOFILE, hard"},
        Field{"limit_hits", &FdFacts::limit_hits, "system calls that failed for want of a descriptor or port so far"}};
  }
};

struct FdCensus : FdFacts {
  std::optional<std::vector<FdClass>> classes;
  static constexpr auto fields() {
    return std::tuple_cat(FdFacts::fields(), std::tuple{Field{"classes", &FdCensus::classes, "what they are"}});
  }
};

/// One system call that failed for want of a descriptor (EMFILE, ENFILE) or of a port (EADDRNOTAVAIL).
struct FdAlarm {
  std::string error;
  std::optional<std::string> syscall;
  std::optional<std::uint32_t> tid;
  static constexpr auto fields() {
    return std::tuple{Field{"error", &FdAlarm::error, "EMFILE, ENFILE or EADDRNOTAVAIL"},
                      Field{"syscall", &FdAlarm::syscall, "the system call"},
                      Field{"tid", &FdAlarm::tid, "the thread"}};
  }
};

/// kind "process": a census whose numbers changed, or an alarm. fds is null when an alarm came before any census.
struct ProcessTimeline {
  std::optional<std::string> time;
  std::uint64_t mono_ns = 0;
  std::vector<Source> sources;
  Unavailable unavailable;
  ProcessFacts process;
  std::optional<FdCensus> fds;
  std::optional<FdAlarm> alarm;
  std::vector<Finding> findings;
  bool truncated = false;
  static constexpr auto fields() {
    return std::tuple{
        Field{"time", &ProcessTimeline::time, "wall time, RFC 3339 UTC"},
        Field{"mono_ns", &ProcessTimeline::mono_ns, "the same moment on CLOCK_MONOTONIC"},
        Field{"sources", &ProcessTimeline::sources, "who saw it"},
        Field{"unavailable", &ProcessTimeline::unavailable, "path of a null fact -> why it is null"},
        Field{"process", &ProcessTimeline::process, "whose descriptors"},
        Field{"fds", &ProcessTimeline::fds, "the census"},
        Field{"alarm", &ProcessTimeline::alarm, "the failed system call, if that is why this was written"},
        Field{"findings", &ProcessTimeline::findings, "what follows from it"}};
  }
};

}  // namespace conntrace::cli
