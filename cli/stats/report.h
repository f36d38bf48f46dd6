// SPDX-License-Identifier: Apache-2.0
#pragma once

// What `conntrace stats` says: passive data, whose fields() are the JSON keys.

#include <cstdint>
#include <optional>
#include <string>
#include <tuple>
#include <vector>

#include "conntrace/field.h"
#include "conntrace/reasons.h"

namespace conntrace::cli {

inline constexpr const char* kStatsSchema = "conntrace.stats/1";

struct Times {
  std::uint64_t count = 0;
  std::uint64_t sum_ns = 0;
  std::uint64_t p50_ns = 0;
  std::uint64_t p90_ns = 0;
  std::uint64_t p99_ns = 0;
  std::uint64_t max_ns = 0;
  static constexpr auto fields() {
    return std::tuple{Field{"count", &Times::count, "how many"},
                      Field{"sum_ns", &Times::sum_ns, "all together"},
                      Field{"p50_ns", &Times::p50_ns, "median; percentiles are exact or up to 1/128 too high"},
                      Field{"p90_ns", &Times::p90_ns, "90 of 100 took no longer"},
                      Field{"p99_ns", &Times::p99_ns, "99 of 100 took no longer"},
                      Field{"max_ns", &Times::max_ns, "the longest"}};
  }
};

/// Of requests that had this phase; `total` is the whole request.
struct PhaseStats {
  std::string phase;
  Times times;
  static constexpr auto fields() {
    return std::tuple{Field{"phase", &PhaseStats::phase, "total, or a phase"},
                      Field{"times", &PhaseStats::times, "of the requests that had it"}};
  }
};

struct HostStats {
  std::string host;
  std::uint64_t requests = 0;
  std::uint64_t failed = 0;
  std::uint64_t reused = 0;
  std::uint64_t fresh = 0;
  std::vector<PhaseStats> phases;
  static constexpr auto fields() {
    using T = HostStats;
    return std::tuple{Field{"host", &T::host, "host:port; (others) beyond the first 1000"},
                      Field{"requests", &T::requests, "how many"},
                      Field{"failed", &T::failed, "ended with an error; a status is none"},
                      Field{"reused", &T::reused, "on a connection that had carried one before"},
                      Field{"fresh", &T::fresh, "on a new connection"},
                      Field{"phases", &T::phases, "where the time went"}};
  }
};

struct QueueStats {
  std::string cause;
  Times times;
  static constexpr auto fields() {
    return std::tuple{Field{"cause", &QueueStats::cause, "the limit that bound"},
                      Field{"times", &QueueStats::times, "of the waits"}};
  }
};

struct HolderStats {
  std::string request;
  std::uint64_t held_up = 0;
  std::uint64_t waited_ns = 0;
  static constexpr auto fields() {
    using T = HolderStats;
    return std::tuple{Field{"request", &T::request, "id of the request that held a slot"},
                      Field{"held_up", &T::held_up, "requests that waited meanwhile"},
                      Field{"waited_ns", &T::waited_ns, "its share of their waits"}};
  }
};

struct CloseStats {
  CloseReason reason = CloseReason::unknown;
  ClosedBy by = ClosedBy::unknown;
  CloseHow how = CloseHow::unknown;
  std::uint64_t count = 0;
  static constexpr auto fields() {
    using T = CloseStats;
    return std::tuple{Field{"reason", &T::reason, "why"}, Field{"by", &T::by, "which side closed first"},
                      Field{"how", &T::how, "how it ended on the wire"}, Field{"count", &T::count, "connections"}};
  }
};

struct IdleBucket {
  std::optional<std::uint64_t> up_to_ns;
  std::uint64_t count = 0;
  static constexpr auto fields() {
    return std::tuple{
        Field{"up_to_ns", &IdleBucket::up_to_ns, "idle no longer than this; null: longer than all others"},
        Field{"count", &IdleBucket::count, "how often"}};
  }
};

struct WordCount {
  std::string word;
  std::uint64_t count = 0;
  static constexpr auto fields() {
    return std::tuple{Field{"word", &WordCount::word, "which"}, Field{"count", &WordCount::count, "how often"}};
  }
};

struct StatsReport {
  std::uint64_t requests = 0;
  std::uint64_t failed = 0;
  std::uint64_t incomplete = 0;
  std::uint64_t reused = 0;
  std::uint64_t fresh = 0;
  std::optional<double> reuse_ratio;
  std::uint64_t connections = 0;
  std::uint64_t still_open = 0;
  std::vector<PhaseStats> phases;
  std::vector<HostStats> hosts;
  std::vector<QueueStats> queue;
  std::vector<HolderStats> holders;
  bool holders_exact = true;
  std::vector<WordCount> failed_in;
  std::vector<WordCount> why_new;
  std::vector<CloseStats> closes;
  std::vector<IdleBucket> idle_before_reuse;
  std::vector<WordCount> findings;
  static constexpr auto fields() {
    using T = StatsReport;
    return std::tuple{
        Field{"requests", &T::requests, "request timelines"},
        Field{"failed", &T::failed, "ended with an error; a status is none"},
        Field{"incomplete", &T::incomplete, "records of them were lost or are missing; they are counted all the same"},
        Field{"reused", &T::reused, "requests on a connection that had carried one before"},
        Field{"fresh", &T::fresh, "requests on a new connection"},
        Field{"reuse_ratio", &T::reuse_ratio, "reused / (reused + fresh); null: no request had a connection"},
        Field{"connections", &T::connections, "connection timelines"},
        Field{"still_open", &T::still_open, "of these, not seen to close"},
        Field{"phases", &T::phases, "of all hosts"},
        Field{"hosts", &T::hosts, "most requests first"},
        Field{"queue", &T::queue, "waits for a connection, by cause, longest sum first"},
        Field{"holders", &T::holders, "the 10 requests that explain most of these waits"},
        Field{"holders_exact", &T::holders_exact, "false: there were too many to follow all of them"},
        Field{"failed_in", &T::failed_in, "phases in which requests failed"},
        Field{"why_new", &T::why_new, "why requests got new connections"},
        Field{"closes", &T::closes, "how connections ended, most often first"},
        Field{"idle_before_reuse", &T::idle_before_reuse, "how long connections had been idle when used again"},
        Field{"findings", &T::findings, "how often which was found"}};
  }
};

}  // namespace conntrace::cli
