// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "timeline/phase_model.h"
#include "timeline/process_model.h"

namespace conntrace::cli {

/// How a connection ended. `reason` is the library's word, `by`, `how` and `errno` the kernel's where it saw the
/// socket.
struct ClosedFacts {
  CloseReason reason = CloseReason::unknown;
  ClosedBy by = ClosedBy::unknown;
  CloseHow how = CloseHow::unknown;
  std::optional<int> error_number;
  std::int64_t at_ns = 0;
  bool inferred = false;
  static constexpr auto fields() {
    return std::tuple{Field{"reason", &ClosedFacts::reason, "why"},
                      Field{"by", &ClosedFacts::by, "which side closed first"},
                      Field{"how", &ClosedFacts::how, "how it ended on the wire"},
                      Field{"errno", &ClosedFacts::error_number, "the socket's error"},
                      Field{"at_ns", &ClosedFacts::at_ns, "when, relative to start_mono_ns; negative: before it"},
                      Field{"inferred", &ClosedFacts::inferred, "the reason or the side was concluded, not observed"}};
  }
};

/// A connection that could not serve, so that a new one was dialled.
struct RejectedConnection {
  std::uint64_t connection = 0;
  WhyNew reason = WhyNew::unknown;
  std::optional<std::uint64_t> cookie;
  std::optional<std::uint64_t> idle_ns;
  std::optional<ClosedFacts> closed;
  static constexpr auto fields() {
    return std::tuple{
        Field{"connection", &RejectedConnection::connection, "its number"},
        Field{"reason", &RejectedConnection::reason, "why not"},
        Field{"cookie", &RejectedConnection::cookie, "its SO_COOKIE"},
        Field{"idle_ns", &RejectedConnection::idle_ns, "how long it had been idle when it was closed"},
        Field{"closed", &RejectedConnection::closed, "how it ended; null: it was open, or its end was not seen"}};
  }
};

struct ConnectionUseSpan {
  std::string request;
  std::int64_t start_ns = 0;
  std::optional<std::int64_t> end_ns;
  static constexpr auto fields() {
    return std::tuple{Field{"request", &ConnectionUseSpan::request, "id of the request"},
                      Field{"start_ns", &ConnectionUseSpan::start_ns, "when it got the connection"},
                      Field{"end_ns", &ConnectionUseSpan::end_ns, "when it gave it back; null: not seen"}};
  }
};

struct IdleGap {
  std::int64_t start_ns = 0;
  std::uint64_t duration_ns = 0;
  static constexpr auto fields() {
    return std::tuple{Field{"start_ns", &IdleGap::start_ns, "when it began"},
                      Field{"duration_ns", &IdleGap::duration_ns, "how long"}};
  }
};

/// Name lookups of the same process whose answer contained the address, shortly before the connect.
struct InferredDns {
  std::vector<DnsExchange> queries;
  bool inferred = true;
  static constexpr auto fields() {
    return std::tuple{Field{"queries", &InferredDns::queries, "the exchanges"},
                      Field{"inferred", &InferredDns::inferred, "joined by address and time, not by thread"}};
  }
};

/// kind "connection": the life of one socket, failed connects included.
struct ConnectionTimeline {
  std::string id;
  std::optional<std::string> time;
  std::uint64_t start_mono_ns = 0;
  std::uint64_t duration_ns = 0;  ///< until it closed, or so far
  bool complete = true;
  std::vector<Source> sources;
  Unavailable unavailable;
  ProcessFacts process;
  std::optional<std::uint64_t> number;
  std::optional<std::uint64_t> cookie;
  std::optional<std::uint64_t> netns;
  std::optional<int> fd;
  Direction direction = Direction::unknown;
  std::optional<std::string> local;
  std::optional<std::string> remote;
  std::optional<std::string> protocol;
  std::optional<std::string> dialled_by;
  std::optional<WhyNew> why_new;
  std::vector<RejectedConnection> candidates;
  bool existed_before = false;
  std::optional<InferredDns> dns;
  std::optional<std::uint64_t> handshake_ns;
  std::optional<std::uint64_t> accept_queue_ns;
  std::optional<std::uint32_t> syn_retransmits;
  std::optional<std::uint32_t> srtt_us;
  std::optional<std::uint32_t> retransmits;
  std::optional<std::uint64_t> bytes_sent;
  std::optional<std::uint64_t> bytes_received;
  std::optional<std::uint64_t> requests;
  std::vector<ConnectionUseSpan> uses;
  std::vector<IdleGap> idle_gaps;
  std::optional<ClosedFacts> closed;
  std::vector<Finding> findings;
  bool truncated = false;
  static constexpr auto fields() {
    using T = ConnectionTimeline;
    return std::tuple{
        Field{"id", &T::id, "<boot>-<netns>-<cookie>; without a cookie <boot>-<pid>-<start_time_ns>/c<number>"},
        Field{"time", &T::time, "wall time of its start, RFC 3339 UTC"},
        Field{"start_mono_ns", &T::start_mono_ns,
              "CLOCK_MONOTONIC of its beginning or, if that was not seen, of the first record of it"},
        Field{"duration_ns", &T::duration_ns, "until it closed, or until the last record if it lives"},
        Field{"complete", &T::complete, "false: records that may concern it were lost or are missing"},
        Field{"sources", &T::sources, "who saw it"},
        Field{"unavailable", &T::unavailable, "path of a null fact -> why it is null"},
        Field{"process", &T::process, "the owner"},
        Field{"number", &T::number, "the library's number of it"},
        Field{"cookie", &T::cookie, "SO_COOKIE"},
        Field{"netns", &T::netns, "inode of the network namespace"},
        Field{"fd", &T::fd, "descriptor"},
        Field{"direction", &T::direction, "who began"},
        Field{"local", &T::local, "ip:port"},
        Field{"remote", &T::remote, "ip:port"},
        Field{"protocol", &T::protocol, "http/1.1"},
        Field{"dialled_by", &T::dialled_by, "id of the request whose dial made it"},
        Field{"why_new", &T::why_new, "why no open connection served"},
        Field{"candidates", &T::candidates, "connections that could not serve"},
        Field{"existed_before", &T::existed_before, "it was there before the observer"},
        Field{"dns", &T::dns, "lookups that probably gave the address"},
        Field{"handshake_ns", &T::handshake_ns, "SYN to established"},
        Field{"accept_queue_ns", &T::accept_queue_ns, "of an incoming one: established to accept"},
        Field{"syn_retransmits", &T::syn_retransmits, "SYNs sent again"},
        Field{"srtt_us", &T::srtt_us, "smoothed round trip time, last known"},
        Field{"retransmits", &T::retransmits, "segments sent again, SYNs excluded"},
        Field{"bytes_sent", &T::bytes_sent, "bytes"},
        Field{"bytes_received", &T::bytes_received, "bytes"},
        Field{"requests", &T::requests, "requests it carried; null: not instrumented"},
        Field{"uses", &T::uses, "requests and when they had it; the last ones if it had many"},
        Field{"idle_gaps", &T::idle_gaps, "when it waited for use; the last ones if there were many"},
        Field{"closed", &T::closed, "null while it lives"},
        Field{"findings", &T::findings, "what follows from it"}};
  }
};

}  // namespace conntrace::cli
