// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <tuple>

#include "conntrace/field.h"
#include "conntrace/reasons.h"
#include "conntrace/text.h"

namespace conntrace {

// Payloads of looking for, queueing for, getting and giving back a connection. Each is also the argument of the hook of
// the same name (client_trace.h). Text and List are views: a hook must copy what it keeps.

struct GetConnInfo {
  Text host_port;
  static constexpr auto fields() {
    return std::tuple{
        Field{"host_port", &GetConnInfo::host_port, "host:port of the first hop (the proxy's, if there is one)"}};
  }
};

/// Who held a slot of the limit that a request waits for.
struct Holder {
  std::optional<std::uint64_t> request;
  std::uint64_t connection = 0;
  Phase doing = Phase::none;
  double share = 0;
  static constexpr auto fields() {
    return std::tuple{Field{"request", &Holder::request,
                            "request that used the slot; absent: an idle connection or a dial nobody waits for"},
                      Field{"connection", &Holder::connection,
                            "the connection or dial in the slot; 0: the dial waits behind another limit"},
                      Field{"doing", &Holder::doing,
                            "what it was doing when the wait began or, if it came later, when the wait ended"},
                      Field{"share", &Holder::share,
                            "part of the wait that this holder explains; all holders and others_share sum to 1"}};
  }
};

struct QueueEnterInfo {
  Limit limit = {};
  std::uint64_t limit_value = 0;
  std::uint32_t position = 0;
  std::uint32_t depth = 0;
  List<Holder> holders;
  static constexpr auto fields() {
    return std::tuple{Field{"limit", &QueueEnterInfo::limit, "the limit that binds"},
                      Field{"limit_value", &QueueEnterInfo::limit_value, "its value; of fd_limit: the soft limit"},
                      Field{"position", &QueueEnterInfo::position, "place in the queue, from 1"},
                      Field{"depth", &QueueEnterInfo::depth, "requests in the queue, this one included"},
                      Field{"holders", &QueueEnterInfo::holders, "who holds the slots now; share is 0 here"}};
  }
};

struct QueueLeaveInfo {
  Limit limit = {};
  QueueOutcome outcome = {};
  std::uint64_t waited_ns = 0;
  std::optional<std::uint64_t> released_by;
  List<Holder> holders;
  double others_share = 0;
  static constexpr auto fields() {
    return std::tuple{
        Field{"limit", &QueueLeaveInfo::limit, "the limit that bound"},
        Field{"outcome", &QueueLeaveInfo::outcome, "how the wait ended"},
        Field{"waited_ns", &QueueLeaveInfo::waited_ns, "length of the wait"},
        Field{"released_by", &QueueLeaveInfo::released_by, "request whose release ended it"},
        Field{"holders", &QueueLeaveInfo::holders, "who held the slots during the wait, largest share first"},
        Field{"others_share", &QueueLeaveInfo::others_share, "share of holders left out of the list"}};
  }
};

struct GotConnInfo {
  bool reused = false;
  bool was_idle = false;
  std::optional<std::uint64_t> idle_ns;
  std::uint64_t requests_before = 0;
  Text local;
  Text remote;
  Text protocol;
  int fd = 0;
  std::optional<std::uint64_t> dialled_by;
  std::uint64_t opened_mono_ns = 0;
  static constexpr auto fields() {
    return std::tuple{
        Field{"reused", &GotConnInfo::reused, "the connection carried a request before"},
        Field{"was_idle", &GotConnInfo::was_idle, "it came from the idle list"},
        Field{"idle_ns", &GotConnInfo::idle_ns, "how long it had been idle, if it was"},
        Field{"requests_before", &GotConnInfo::requests_before, "requests it carried before this one"},
        Field{"local", &GotConnInfo::local, "ip:port of this side"},
        Field{"remote", &GotConnInfo::remote, "ip:port of the other side, or the path of its Unix socket"},
        Field{"protocol", &GotConnInfo::protocol, "http/1.1"},
        Field{"fd", &GotConnInfo::fd, "descriptor"},
        Field{"dialled_by", &GotConnInfo::dialled_by, "request whose dial made it"},
        Field{"opened_mono_ns", &GotConnInfo::opened_mono_ns, "when it became usable"}};
  }
};

struct GetConnFailedInfo {
  Text error;
  Phase phase = Phase::none;
  static constexpr auto fields() {
    return std::tuple{Field{"error", &GetConnFailedInfo::error, "what went wrong"},
                      Field{"phase", &GetConnFailedInfo::phase, "phase that failed"}};
  }
};

struct PutIdleConnInfo {
  Text error;
  std::optional<std::uint64_t> handed_to;
  static constexpr auto fields() {
    return std::tuple{
        Field{"error", &PutIdleConnInfo::error, "empty: pooled or handed on; else why not, a CloseReason"},
        Field{"handed_to", &PutIdleConnInfo::handed_to, "request that got it at once"}};
  }
};

struct ConnClosedInfo {
  CloseReason reason = CloseReason::unknown;
  ClosedBy by = ClosedBy::unknown;
  int error_number = 0;
  std::uint64_t age_ns = 0;
  std::optional<std::uint64_t> idle_ns;
  std::uint64_t requests = 0;
  std::uint64_t bytes_sent = 0;
  std::uint64_t bytes_received = 0;
  Text local;
  Text remote;
  bool inferred = false;
  bool by_inferred = false;
  static constexpr auto fields() {
    return std::tuple{
        Field{"reason", &ConnClosedInfo::reason, "why"},
        Field{"by", &ConnClosedInfo::by, "which side ended it"},
        Field{"error_number", &ConnClosedInfo::error_number, "errno that ended it, 0 if none"},
        Field{"age_ns", &ConnClosedInfo::age_ns, "since it became usable; 0 if it never did"},
        Field{"idle_ns", &ConnClosedInfo::idle_ns, "how long it had been idle, if it was"},
        Field{"requests", &ConnClosedInfo::requests, "requests it carried"},
        Field{"bytes_sent", &ConnClosedInfo::bytes_sent, "bytes the socket accepted"},
        Field{"bytes_received", &ConnClosedInfo::bytes_received, "bytes the socket gave"},
        Field{"local", &ConnClosedInfo::local, "ip:port of this side"},
        Field{"remote", &ConnClosedInfo::remote, "ip:port of the other side, or the path of its Unix socket"},
        Field{"inferred", &ConnClosedInfo::inferred, "the reason was concluded, not observed"},
        Field{"by_inferred", &ConnClosedInfo::by_inferred, "the side was concluded, not observed"}};
  }
};

/// Connections that were closed for one reason.
struct CloseCount {
  CloseReason reason = CloseReason::unknown;
  std::uint64_t count = 0;
  static constexpr auto fields() {
    return std::tuple{Field{"reason", &CloseCount::reason, "why"}, Field{"count", &CloseCount::count, "how many"}};
  }
};

struct PoolSnapshotInfo {
  std::uint64_t open = 0;
  std::uint64_t idle = 0;
  std::uint64_t active = 0;
  std::uint64_t dialling = 0;
  std::uint64_t waiting = 0;
  std::uint64_t dials = 0;
  std::uint64_t closed = 0;
  std::uint64_t reused = 0;
  std::uint64_t queue_enters = 0;
  std::uint64_t queue_leaves = 0;
  std::uint64_t refused = 0;
  List<CloseCount> closed_by;
  static constexpr auto fields() {
    return std::tuple{
        Field{"open", &PoolSnapshotInfo::open, "connections: idle + active + dialling"},
        Field{"idle", &PoolSnapshotInfo::idle, "waiting for use"},
        Field{"active", &PoolSnapshotInfo::active, "in use"},
        Field{"dialling", &PoolSnapshotInfo::dialling, "not yet usable"},
        Field{"waiting", &PoolSnapshotInfo::waiting, "requests behind a limit"},
        Field{"dials", &PoolSnapshotInfo::dials, "dials since the start"},
        Field{"closed", &PoolSnapshotInfo::closed, "connections closed since the start, failed dials included"},
        Field{"reused", &PoolSnapshotInfo::reused, "times a connection was used again"},
        Field{"queue_enters", &PoolSnapshotInfo::queue_enters, "waits behind a limit that began since the start"},
        Field{"queue_leaves", &PoolSnapshotInfo::queue_leaves, "those that ended; the rest is waiting"},
        Field{"refused", &PoolSnapshotInfo::refused, "requests that max_queue refused since the start"},
        Field{"closed_by", &PoolSnapshotInfo::closed_by, "closed, by reason; reasons that did not occur are left out"}};
  }
};

struct FdPressureInfo {
  std::optional<std::uint64_t> open;
  std::optional<std::uint64_t> soft_limit;
  int error_number = 0;
  std::uint64_t freed = 0;
  static constexpr auto fields() {
    return std::tuple{Field{"open", &FdPressureInfo::open, "open descriptors, if counted"},
                      Field{"soft_limit", &FdPressureInfo::soft_limit, "RLIMIT_NOFILE"},
                      Field{"error_number", &FdPressureInfo::error_number, "EMFILE, ENFILE or 0"},
                      Field{"freed", &FdPressureInfo::freed, "idle connections closed to make room"}};
  }
};

struct LiveConnectionInfo {
  bool idle = false;
  Text local;
  Text remote;
  Text host_port;
  int fd = 0;
  std::uint64_t opened_mono_ns = 0;
  std::uint64_t requests = 0;
  std::optional<std::uint64_t> dialled_by;
  static constexpr auto fields() {
    return std::tuple{
        Field{"idle", &LiveConnectionInfo::idle, "not in use"},
        Field{"local", &LiveConnectionInfo::local, "ip:port of this side"},
        Field{"remote", &LiveConnectionInfo::remote, "ip:port of the other side, or the path of its Unix socket"},
        Field{"host_port", &LiveConnectionInfo::host_port, "host:port it was dialled for"},
        Field{"fd", &LiveConnectionInfo::fd, "descriptor"},
        Field{"opened_mono_ns", &LiveConnectionInfo::opened_mono_ns, "when it became usable"},
        Field{"requests", &LiveConnectionInfo::requests, "requests it carried"},
        Field{"dialled_by", &LiveConnectionInfo::dialled_by, "request whose dial made it"}};
  }
};

}  // namespace conntrace
