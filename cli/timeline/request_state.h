// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "timeline/request_model.h"
#include "timeline/socket_state.h"

namespace conntrace::cli {

// What the correlator knows while records still come. Units: nanoseconds of CLOCK_MONOTONIC; 0 is "not seen".

struct QueueWait {
  std::uint64_t enter_ns = 0;
  std::uint64_t leave_ns = 0;
  Limit limit = {};
  std::optional<std::uint64_t> limit_value;
  std::optional<std::uint32_t> position;
  std::optional<std::uint32_t> depth;
  std::optional<QueueOutcome> outcome;
  std::optional<std::uint64_t> released_by;
  std::vector<Holder> holders;
  double others_share = 0;
};

struct AttemptState {
  std::uint64_t get_conn_ns = 0;
  std::vector<QueueWait> waits;
  std::vector<std::shared_ptr<DialState>> own_dials;
  std::uint64_t got_conn_ns = 0;
  std::uint64_t failed_ns = 0;          ///< get_conn_failed
  std::shared_ptr<DialState> dial;      ///< of the connection it got
  std::shared_ptr<SocketState> socket;  ///< the connection it got
  RequestConnection connection;         ///< what got_conn said
  std::optional<std::uint64_t> handed_by;
  std::uint64_t wrote_request_ns = 0;
  std::uint64_t first_byte_ns = 0;
  std::uint64_t interim_ns = 0;  ///< the last 1xx
  std::uint64_t head_ns = 0;
  std::uint64_t body_done_ns = 0;
  std::uint64_t body_closed_ns = 0;
  std::uint64_t put_idle_ns = 0;
  std::string put_idle_error;
  std::optional<std::uint64_t> handed_to;
  std::uint64_t conn_closed_ns = 0;
  std::uint64_t retry_ns = 0;
  std::string retry_reason;
  std::optional<ResponseFacts> response;

  /// When it let go of its connection, or 0.
  [[nodiscard]] std::uint64_t released_ns() const { return put_idle_ns != 0 ? put_idle_ns : conn_closed_ns; }
};

struct RequestState {
  std::shared_ptr<ProcessState> process;
  RequestFacts facts;
  std::optional<std::uint64_t> redirected_from;
  std::optional<std::uint64_t> retry_of;
  std::uint64_t start_ns = 0;  ///< request_start or what live_request says
  bool start_seen = false;     ///< request_start itself
  Phase joined_in = Phase::none;
  std::uint64_t first_ns = 0;
  std::uint64_t last_ns = 0;
  std::uint64_t done_ns = 0;
  int status = 0;
  std::string error;
  Phase error_phase = Phase::none;
  std::uint64_t body_bytes = 0;
  std::map<std::uint32_t, AttemptState> attempts;
  bool emitted = false;
};

}  // namespace conntrace::cli
