// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "timeline/connection_model.h"
#include "timeline/phase_model.h"
#include "timeline/process_model.h"

namespace conntrace::cli {

struct RequestFacts {
  std::uint64_t number = 0;
  std::uint32_t attempt = 1;
  std::optional<std::string> method;
  std::optional<std::string> url;
  std::optional<std::string> host;
  std::optional<std::string> traceparent;
  std::optional<std::string> retry_of;
  std::optional<std::string> redirected_from;
  static constexpr auto fields() {
    using T = RequestFacts;
    return std::tuple{Field{"number", &T::number, "number in its process"},
                      Field{"attempt", &T::attempt, "the attempt that phases and connection show, from 1: the last"},
                      Field{"method", &T::method, "HTTP method"},
                      Field{"url", &T::url, "redacted"},
                      Field{"host", &T::host, "host:port"},
                      Field{"traceparent", &T::traceparent, "W3C trace context"},
                      Field{"retry_of", &T::retry_of, "id of the request that this one repeats, if it has its own"},
                      Field{"redirected_from", &T::redirected_from, "id of the request that sent the client here"}};
  }
};

struct ResponseFacts {
  int status = 0;
  std::optional<std::string> protocol;
  std::optional<std::uint64_t> body_bytes;
  static constexpr auto fields() {
    return std::tuple{Field{"status", &ResponseFacts::status, "status code"},
                      Field{"protocol", &ResponseFacts::protocol, "http/1.1 or http/1.0"},
                      Field{"body_bytes", &ResponseFacts::body_bytes, "bytes of the body, framing excluded"}};
  }
};

struct RequestError {
  std::string text;
  Phase phase = Phase::none;
  static constexpr auto fields() {
    return std::tuple{Field{"text", &RequestError::text, "what failed"}, Field{"phase", &RequestError::phase, "where"}};
  }
};

/// An attempt that was given up and tried again.
struct EarlierAttempt {
  std::uint32_t attempt = 1;
  std::uint64_t start_ns = 0;
  std::uint64_t duration_ns = 0;
  std::optional<std::string> reason;
  std::optional<std::uint64_t> connection;
  std::optional<std::uint64_t> cookie;
  std::optional<bool> reused;
  std::optional<std::uint64_t> idle_ns;
  std::optional<ClosedFacts> closed;
  static constexpr auto fields() {
    using T = EarlierAttempt;
    return std::tuple{Field{"attempt", &T::attempt, "number, from 1"},
                      Field{"start_ns", &T::start_ns, "when it began"},
                      Field{"duration_ns", &T::duration_ns, "until the retry"},
                      Field{"reason", &T::reason, "why it was tried again"},
                      Field{"connection", &T::connection, "number of the connection that it used"},
                      Field{"cookie", &T::cookie, "SO_COOKIE of that"},
                      Field{"reused", &T::reused, "that connection had carried a request before"},
                      Field{"idle_ns", &T::idle_ns, "how long it had been idle"},
                      Field{"closed", &T::closed, "how that connection ended"}};
  }
};

/// The connection as this request saw it.
struct RequestConnection {
  std::uint64_t number = 0;
  std::optional<std::uint64_t> cookie;
  std::optional<std::uint64_t> netns;
  std::optional<int> fd;
  std::optional<std::string> local;
  std::optional<std::string> remote;
  std::optional<std::string> protocol;
  std::optional<bool> reused;
  std::optional<bool> was_idle;
  std::optional<std::uint64_t> idle_ns;
  std::optional<std::uint64_t> requests_before;
  std::optional<WhyNew> why_new;
  std::vector<RejectedConnection> candidates;
  std::optional<std::string> dialled_by;
  std::optional<std::uint32_t> retransmits_during;
  std::optional<After> after;
  std::optional<ClosedFacts> closed;
  static constexpr auto fields() {
    using T = RequestConnection;
    return std::tuple{
        Field{"number", &T::number, "number in its process"},
        Field{"cookie", &T::cookie, "SO_COOKIE; with netns the key of the socket"},
        Field{"netns", &T::netns, "inode of the network namespace"},
        Field{"fd", &T::fd, "descriptor"},
        Field{"local", &T::local, "ip:port"},
        Field{"remote", &T::remote, "ip:port"},
        Field{"protocol", &T::protocol, "http/1.1"},
        Field{"reused", &T::reused, "it had carried a request before"},
        Field{"was_idle", &T::was_idle, "it came from the idle list"},
        Field{"idle_ns", &T::idle_ns, "how long it had been idle; null: it was not"},
        Field{"requests_before", &T::requests_before, "requests it carried before this one"},
        Field{"why_new", &T::why_new, "of a fresh one: why no open connection served"},
        Field{"candidates", &T::candidates, "of a fresh one: connections that could not serve"},
        Field{"dialled_by", &T::dialled_by, "id of the request whose dial made it"},
        Field{"retransmits_during", &T::retransmits_during, "segments sent again while this request had it"},
        Field{"after", &T::after, "what became of it right after this request"},
        Field{"closed", &T::closed, "how it ended, if this request was its last"}};
  }
};

/// kind "request": one request, all its attempts.
///
/// Invariants: phases are in order, do not overlap and lie within [0, duration_ns]; they belong to the last attempt.
struct RequestTimeline {
  std::string id;
  std::optional<std::string> time;
  std::uint64_t start_mono_ns = 0;
  std::uint64_t duration_ns = 0;
  bool complete = true;
  std::vector<Source> sources;
  Unavailable unavailable;
  ProcessFacts process;
  RequestFacts request;
  std::optional<ResponseFacts> response;
  std::optional<RequestError> error;
  std::vector<EarlierAttempt> earlier_attempts;
  std::vector<PhaseTimeline> phases;
  std::optional<RequestConnection> connection;
  std::optional<FdFacts> fds;
  std::vector<Finding> findings;
  bool truncated = false;
  static constexpr auto fields() {
    using T = RequestTimeline;
    return std::tuple{
        Field{"id", &T::id, "<first 8 hex digits of the boot id>-<pid>-<start_time_ns>/<number>"},
        Field{"time", &T::time, "wall time of its start, RFC 3339 UTC"},
        Field{"start_mono_ns", &T::start_mono_ns, "CLOCK_MONOTONIC of its start"},
        Field{"duration_ns", &T::duration_ns, "until request_done, or until the last record if that is missing"},
        Field{"complete", &T::complete, "false: records that may concern it were lost or are missing"},
        Field{"sources", &T::sources, "who saw it"},
        Field{"unavailable", &T::unavailable, "path of a null fact -> why it is null"},
        Field{"process", &T::process, "who made it"},
        Field{"request", &T::request, "what was asked"},
        Field{"response", &T::response, "null: no response head arrived"},
        Field{"error", &T::error, "null: a complete response"},
        Field{"earlier_attempts", &T::earlier_attempts, "attempts before the one that phases show"},
        Field{"phases", &T::phases, "in order, without overlap; a phase that did not happen is absent"},
        Field{"connection", &T::connection, "null: it got none"},
        Field{"fds", &T::fds, "the last census of the process before the request's end"},
        Field{"findings", &T::findings, "what follows from it"}};
  }
};

}  // namespace conntrace::cli
