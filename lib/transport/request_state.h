// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <stop_token>
#include <utility>
#include <vector>

#include "conntrace/transport.h"
#include "transport/destination.h"
#include "transport/event_loop.h"

namespace conntrace::transport {

/// A request from send() to its completion.
struct RequestState {
  enum class Stage { waiting, active, finished };

  RequestId id = 0;
  Request request;
  Completion done;
  std::shared_ptr<const Destination> target;
  MonoTime start{};
  EventLoop::Timer deadline{};
  std::optional<std::stop_callback<std::function<void()>>> on_stop;

  Stage stage = Stage::waiting;
  Phase phase = Phase::none;  ///< where it is, for those who wait behind it
  std::uint32_t attempt = 1;
  ConnectionId connection = 0;  ///< once it has one
  ConnectionId dial = 0;        ///< the last dial that was begun for it
  /// What the holders were doing when this request began to wait.
  std::vector<std::pair<ConnectionId, Phase>> holders_doing;

  bool has_head = false;  ///< response_head was fired in this attempt
  BodyOutcome body_outcome = BodyOutcome::none;
  std::uint64_t body_bytes = 0;
  Response response;
  std::optional<Error> error;
  bool got_no_connection = false;  ///< it ended before it had one
};

}  // namespace conntrace::transport
