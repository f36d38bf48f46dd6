// SPDX-License-Identifier: Apache-2.0
// What applications do to a request that is under way.
#include "conntrace/body_source.h"
#include "transport/engine.h"

namespace conntrace::transport {

Result<void> Engine::announce_trailers(RequestState& request) {
  if (request.request.body_source == nullptr) return {};
  Headers trailers;
  hooks.guard([&] {
    for (std::string& name : request.request.body_source->trailer_names()) trailers.emplace_back(std::move(name), "");
  });
  for (const auto& [name, value] : trailers)
    request.trailer_names += (request.trailer_names.empty() ? "" : ", ") + name;
  return http::check_trailers(trailers);
}

void Engine::cancel(RequestId id) {
  RequestState* request = find_request(id);
  if (request == nullptr) {
    cancel_before_start(id);
    return;
  }
  fail(*request, make_error(Errc::cancelled, request->target->redacted, request->phase()),
       CloseReason::request_cancelled, QueueOutcome::cancelled);
  drain();
}

// Whoever sends and cancels at once may have both arrive in one turn, and what is posted runs before what arrived
// starts.
void Engine::cancel_before_start(RequestId id) {
  const auto mark = [id](auto& inbox) {
    for (const auto& request : inbox) {
      if (request->id == id) request->cancelled_early = true;
    }
  };
  mark(local_inbox_);
  const std::lock_guard lock(inbox_mutex_);
  mark(inbox_);
}

void Engine::finish_delivered(RequestState& request, MonoTime now) {
  if (!request.paused) {
    finish(request, now);
    return;
  }
  // What arrived is good, whatever came after it: the application gets it when it goes on.
  request.stage = RequestState::Stage::delivering;
  request.enter(Phase::body_held, now);
}

BodyAction Engine::hand_over(RequestState& request, std::string_view piece) {
  BodyAction action = BodyAction::stop;  // of a callback that throws
  hooks.guard([&] { action = request.request.on_body(piece); });
  if (action == BodyAction::pause) {
    request.paused = true;
    request.paused_since = mono_now();
  }
  return action;
}

void Engine::resume(RequestId id) {
  RequestState* request = find_request(id);
  if (request == nullptr || !request->paused || request->stage == RequestState::Stage::finished) return;
  const bool active = request->stage == RequestState::Stage::active;
  Connection* connection = active ? connections_.at(request->connection).get() : nullptr;
  request->paused_before = request->held_until(mono_now());
  request->paused = false;
  const BodyAction action = hand_over(*request, std::exchange(request->kept, {}));
  if (action == BodyAction::stop) {
    give_up_body(*request);
  } else if (active) {
    connection->resume_reading();
  } else if (!request->paused) {
    finish(*request, mono_now());
  }
  drain();
}

void Engine::abandon_body(RequestId id) {
  RequestState* request = find_request(id);
  if (request == nullptr || !request->has_head || request->draining) return;
  request->paused_before = request->held_until(mono_now());
  request->paused = false;
  request->kept.clear();
  if (request->stage != RequestState::Stage::finished) give_up_body(*request);
  drain();
}

void Engine::give_up_body(RequestState& request) {
  if (request.stage == RequestState::Stage::active) {
    connections_.at(request.connection)->abandon_body();
    return;
  }
  request.body_outcome = BodyOutcome::drained;
  finish(request, mono_now());
}

void Engine::read_on_later(ConnectionId id) {
  loop.post([this, id] {
    const auto found = connections_.find(id);
    if (found == connections_.end()) return;
    found->second->read_on();
    drain();
  });
}

void Engine::resume_upload(RequestId id) {
  RequestState* request = find_request(id);
  if (request == nullptr || request->stage != RequestState::Stage::active) return;
  connections_.at(request->connection)->resume_upload();
  drain();
}

void Engine::tell_redirect(RequestId id, const RedirectInfo& info) {
  RequestState* request = find_request(id);
  if (request == nullptr) return;
  const auto found = connections_.find(request->connection);
  fire<&ClientTrace::redirect>(request, found != connections_.end() ? found->second.get() : nullptr,
                               [&] { return info; });
}

void Engine::run_at(std::uint64_t number, MonoTime at, std::function<void(bool ended)> task) {
  if (shutting_down_) {
    hooks.guard([&] { task(true); });
    return;
  }
  const EventLoop::Timer timer = loop.set_timer(at, [this, number] {
    auto due = delayed_.extract(number);
    hooks.guard([&] { due.mapped().task(false); });
    drain();
  });
  delayed_.emplace(number, Delayed{timer, std::move(task)});
}

void Engine::cancel_delayed(std::uint64_t number) {
  const auto found = delayed_.find(number);
  if (found == delayed_.end()) return;
  loop.cancel_timer(found->second.timer);
  delayed_.erase(found);
}

}  // namespace conntrace::transport
