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
#include "transport/phase_clock.h"

namespace conntrace::transport {

/// A request from send() to its completion.
struct RequestState {
  /// delivering: the connection is gone, the application has not taken all of the body.
  enum class Stage { waiting, active, delivering, finished };

  RequestState(RequestId number, Request&& what, Completion&& completion)
      : id(number), request(std::move(what)), done(std::move(completion)) {}

  const RequestId id;
  Request request;
  Completion done;
  std::shared_ptr<const Destination> target;
  MonoTime start{};
  EventLoop::Timer deadline{};
  std::optional<std::stop_callback<std::function<void()>>> on_stop;

  Stage stage = Stage::waiting;
  PhaseClock phases;
  void enter(Phase next, MonoTime now) { phases.enter(next, now); }
  [[nodiscard]] Phase phase() const { return phases.phase(); }
  std::uint32_t attempt = 1;
  ConnectionId connection = 0;          ///< once it has one
  ConnectionId dial = 0;                ///< the last dial that was begun for it
  EventLoop::Timer acquire_timer{};     ///< while it waits for one: acquire_timeout
  EventLoop::Timer descriptor_timer{};  ///< … and lacked a descriptor for it
  /// What the holders were doing when this request began to wait.
  std::vector<std::pair<ConnectionId, Phase>> holders_doing;

  bool has_head = false;  ///< response_head was fired in this attempt
  BodyOutcome body_outcome = BodyOutcome::none;
  std::optional<std::uint64_t> body_size;  ///< as the head says
  std::uint64_t body_bytes = 0;
  bool source_was_read = false;  ///< of the request's body
  std::string trailer_names;     ///< that the source announced, joined by ", "
  bool draining = false;         ///< the rest of the body is thrown away
  bool paused = false;           ///< the application wants no piece now
  MonoTime paused_since{};
  MonoTime paused_before{};  ///< by pauses that are over
  std::string kept;          ///< arrived while it was paused
  /// For how long the application has let the body wait.
  [[nodiscard]] MonoTime held_until(MonoTime now) const {
    return paused_before + (paused ? now - paused_since : MonoTime{});
  }
  Response response;
  std::optional<Error> error;
  bool got_no_connection = false;  ///< it ended before it had one
  bool cancelled_early = false;    ///< before it started
};

}  // namespace conntrace::transport
