// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <memory>
#include <tuple>
#include <variant>

#include "conntrace/dial_events.h"
#include "conntrace/kernel_events.h"
#include "conntrace/pool_events.h"
#include "conntrace/reasons.h"
#include "conntrace/request_events.h"
#include "conntrace/stream_events.h"
#include "conntrace/tls_events.h"

namespace conntrace {

/// What every event record says besides its kind and its payload. 0 means "not known" or "does not apply", and is
/// left out of the JSON record.
struct EventHeader {
  std::uint64_t mono_ns = 0;
  Source source = Source::hook;
  std::uint32_t pid = 0;
  std::uint32_t tid = 0;
  std::uint64_t start_time_ns = 0;
  std::uint64_t request = 0;
  std::uint32_t attempt = 0;
  std::uint64_t connection = 0;
  std::uint64_t cookie = 0;
  std::uint64_t netns = 0;
  static constexpr auto fields() {
    return std::tuple{
        Field{"mono_ns", &EventHeader::mono_ns, "CLOCK_MONOTONIC in nanoseconds"},
        Field{"source", &EventHeader::source, "who saw it"},
        Field{"pid", &EventHeader::pid, "process (thread group) in the host's pid namespace"},
        Field{"tid", &EventHeader::tid, "thread"},
        Field{"start_time_ns", &EventHeader::start_time_ns,
              "start of the process since boot, in steps of 10 ms as in /proc/PID/stat; tells a reused pid"},
        Field{"request", &EventHeader::request, "number of the request in its process, from 1"},
        Field{"attempt", &EventHeader::attempt, "number of the attempt, from 1"},
        Field{"connection", &EventHeader::connection,
              "number of the connection (or of its dial) in its process, from 1"},
        Field{"cookie", &EventHeader::cookie, "SO_COOKIE of the socket"},
        Field{"netns", &EventHeader::netns, "inode of the network namespace; with cookie the key of a socket"},
    };
  }
};

#define CONNTRACE_ROW(name, payload, origin, meaning) , payload
/// One alternative per row of vocabulary.h; the index is the EventKind plus one, index 0 is an unknown kind.
using Payload = std::variant<std::monostate CONNTRACE_EVENTS(CONNTRACE_ROW)>;
#undef CONNTRACE_ROW

/// The payload struct of a kind.
template <EventKind kind>
using PayloadOf = std::variant_alternative_t<static_cast<std::size_t>(kind) + 1, Payload>;

/// One event record, wherever it came from.
///
/// Lifetime: the views in the payload point into `storage`, or, when that is empty, into memory that lives as long as
/// the maker promises (a hook's caller). own() in event_json.h makes an Event independent of its maker.
struct Event {
  EventHeader header;
  Payload payload;
  std::shared_ptr<const void> storage;

  /// Precondition: the payload is not std::monostate.
  [[nodiscard]] EventKind kind() const { return static_cast<EventKind>(payload.index() - 1); }
  [[nodiscard]] bool known() const { return payload.index() != 0; }
};

/// Makes an event of a kind that is known when compiling.
template <EventKind kind>
[[nodiscard]] Event make_event(EventHeader header, PayloadOf<kind> payload) {
  return Event{header, Payload(std::in_place_index<static_cast<std::size_t>(kind) + 1>, payload), nullptr};
}

/// The payload of an event whose kind is `kind`, or nullptr.
template <EventKind kind>
[[nodiscard]] const PayloadOf<kind>* get_if(const Event& event) {
  return std::get_if<static_cast<std::size_t>(kind) + 1>(&event.payload);
}

}  // namespace conntrace
