// SPDX-License-Identifier: Apache-2.0
#include "transport/engine.h"

#include <algorithm>

#include "conntrace/body_source.h"
#include "conntrace/reasons.h"
#include "http/http1_writer.h"
#include "http/replayable.h"
#include "transport/limits.h"
#include "transport/socket_facts.h"

namespace conntrace::transport {
namespace {

constexpr std::size_t kReadBuffer = 64 * 1024;
constexpr std::size_t kMaxTargets = 1024;

}  // namespace

Engine::Engine(TransportOptions transport_options, EventLoop& event_loop)
    : options(std::move(transport_options)),
      loop(event_loop),
      hooks(options.trace),
      dialer(loop, options),
      resolver(loop,
               {.threads = options.resolver_threads, .max_queue = options.resolver_queue, .name = "conntrace-dns"}),
      gate(std::make_shared<LoopGate>(loop)),
      read_buffer(kReadBuffer, '\0'),
      pool_(pool_limits(options)) {}

Engine::~Engine() { gate->close(); }

void Engine::submit(std::unique_ptr<RequestState> request) {
  if (loop.on_loop_thread()) {
    local_inbox_.push_back(std::move(request));
    return;  // drain() takes it, now or at the end of this turn
  }
  {
    const std::lock_guard lock(inbox_mutex_);
    inbox_.push_back(std::move(request));
  }
  loop.wake();
}

void Engine::end_of_turn() {
  std::vector<std::unique_ptr<RequestState>> arrived;
  {
    const std::lock_guard lock(inbox_mutex_);
    arrived.swap(inbox_);
  }
  for (auto& request : arrived) local_inbox_.push_back(std::move(request));
  drain();
  graves_.clear();
  dial_graves_.clear();
}

void Engine::drain() {
  if (draining_) return;
  draining_ = true;
  for (;;) {
    if (next_action_ < actions_.size()) {
      const pool::Action action = std::move(actions_[next_action_++]);
      std::visit([this](const auto& what) { apply(what); }, action);
    } else if (!failed_dials_.empty()) {
      bury(failed_dials_.back());
      failed_dials_.pop_back();
    } else if (!finished_.empty()) {
      RequestState* request = finished_.front();
      finished_.pop_front();
      complete(*request);
    } else if (!local_inbox_.empty()) {
      std::unique_ptr<RequestState> request = std::move(local_inbox_.front());
      local_inbox_.pop_front();
      start(std::move(request));
    } else {
      break;
    }
    if (next_action_ == actions_.size()) {
      actions_.clear();
      next_action_ = 0;
    }
  }
  draining_ = false;
  arm_pool_timer();
}

void Engine::start(std::unique_ptr<RequestState> owned) {
  RequestState& request = *owned;
  requests_.emplace(request.id, std::move(owned));
  request.start = mono_now();
  request.phases.start(request.start);
  auto target = target_of(request.request.url);
  std::optional<Error> refused;
  if (!target) {
    refused = std::move(target).error();
    request.target = std::make_shared<Destination>();
  } else {
    request.target = *std::move(target);
    if (auto checked = http::check_request(request.request); !checked) refused = std::move(checked).error();
    if (auto checked = announce_trailers(request); !checked) refused = std::move(checked).error();
  }
  fire<&ClientTrace::request_start>(
      &request, nullptr,
      [&] {
        const std::string* traceparent = find_header(request.request.headers, "traceparent");
        return RequestStartInfo{.method = request.request.method,
                                .url = request.target->redacted,
                                .host = request.target->host_port,
                                .traceparent = traceparent != nullptr ? Text(*traceparent) : Text(),
                                .redirected_from = request.request.redirected_from,
                                .retry_of = request.request.retry_of};
      },
      request.start);
  if (shutting_down_) refused = make_error(Errc::shutdown, request.target->redacted);
  if (request.cancelled_early || request.request.stop.stop_requested())
    refused = make_error(Errc::cancelled, request.target->redacted);
  if (refused) {
    request.error = std::move(refused);
    finish(request, mono_now());
    return;
  }
  if (request.request.timeout) {
    request.deadline =
        loop.set_timer(request.start + *request.request.timeout, [this, id = request.id] { request_timed_out(id); });
  }
  look_for_connection(request, hooks.heard_by(request.request.trace.get()) ? mono_now() : request.start);
}

void Engine::look_for_connection(RequestState& request, MonoTime now) {
  request.stage = RequestState::Stage::waiting;
  request.enter(Phase::blocked, now);
  request.connection = 0;
  fire<&ClientTrace::get_conn>(&request, nullptr, [&] { return GetConnInfo{.host_port = request.target->hop}; });
  acquire(request, now);
}

void Engine::request_timed_out(RequestId id) {
  RequestState* request = find_request(id);
  if (request == nullptr) return;
  request->deadline = {};
  fail(*request, make_error(Errc::timeout, request->target->redacted, request->phase()), CloseReason::request_timeout,
       QueueOutcome::timeout);
  drain();
}

void Engine::fail(RequestState& request, Error error, CloseReason reason, QueueOutcome outcome) {
  if (request.stage == RequestState::Stage::finished) return;
  const MonoTime now = mono_now();
  if (request.stage == RequestState::Stage::waiting) {
    request.got_no_connection = true;
    // What it waits for is the phase that its time went into.
    if (const auto dial = own_dial(request); dial != nullptr) error.phase = dial->dial_phase;
    pool_.cancel(request.id, outcome, now, actions_);
  } else if (const auto found = connections_.find(request.connection);
             request.stage == RequestState::Stage::active && found != connections_.end()) {
    if (request.has_head) request.body_outcome = BodyOutcome::abandoned;
    found->second->drop_exchange(error);
    pool_.release(request.connection, reason, now, actions_);
  } else {
    request.body_outcome = BodyOutcome::abandoned;
  }
  request.error = std::move(error);
  finish(request, now);
}

void Engine::exchange_done(Connection& connection, RequestState& request, std::optional<CloseReason> unusable,
                           MonoTime now) {
  pool::KeepAlive said;
  if (!unusable) said = keep_alive_said(request.response.headers);
  pool_.release(connection.id, unusable, now, actions_, said);
  finish_delivered(request, now);
}

void Engine::exchange_failed(Connection& connection, RequestState& request, Error error, CloseReason reason,
                             bool nothing_sent, bool before_response) {
  const MonoTime now = mono_now();
  pool_.release(connection.id, reason, now, actions_);
  const bool may_retry = connection.may_be_stale() && !shutting_down_ &&
                         (nothing_sent || (before_response && http::is_replayable(request.request)));
  const bool cannot_rewind = may_retry && request.source_was_read && !request.request.body_source->rewind();
  if (!may_retry || cannot_rewind) {
    if (cannot_rewind) error = std::move(error).within("the request body cannot be sent again");
    if (request.has_head) request.body_outcome = BodyOutcome::failed;
    request.error = std::move(error);
    finish_delivered(request, now);
    return;
  }
  const std::string why = error.message();
  fire<&ClientTrace::retry>(&request, &connection,
                            [&] { return RetryInfo{.reason = why, .next_attempt = request.attempt + 1}; });
  ++request.attempt;
  request.source_was_read = false;
  look_for_connection(request, mono_now());
}

void Engine::finish(RequestState& request, MonoTime now) {
  if (request.stage == RequestState::Stage::finished) return;
  if (request.stage == RequestState::Stage::waiting) {
    if (const Connection* dial = dial_of(request)) request.phases.split(dial->dial_phases, now);
  }
  request.stage = RequestState::Stage::finished;
  request.enter(Phase::none, now);
  waits_no_more(request);
  finished_.push_back(&request);
}

void Engine::complete(RequestState& request) {
  loop.cancel_timer(request.deadline);
  request.on_stop.reset();
  const auto found = connections_.find(request.connection);
  const Connection* connection = found != connections_.end() ? found->second.get() : nullptr;
  if (request.error) request.error->spent = request.phases.spent();
  if (request.request.body_source) request.request.body_source->close();
  if (hooks.heard_by(request.request.trace.get())) tell_end(request, connection, mono_now());
  const auto node = requests_.extract(request.id);
  request.response.request = request.id;
  request.response.connection = request.connection;
  hooks.guard([&] {
    if (!request.done) return;
    if (request.error) {
      request.done(Failure(std::move(*request.error)));
    } else {
      request.done(std::move(request.response));
    }
  });
}

void Engine::tell_end(const RequestState& request, const Connection* connection, MonoTime now) {
  const std::string message = request.error ? request.error->message() : std::string();
  if (request.got_no_connection) {
    fire<&ClientTrace::get_conn_failed>(
        &request, nullptr, [&] { return GetConnFailedInfo{.error = message, .phase = request.error->phase}; }, now);
  }
  if (request.has_head) {
    fire<&ClientTrace::body_closed>(
        &request, connection, [&] { return BodyClosedInfo{.outcome = request.body_outcome}; }, now);
  }
  fire<&ClientTrace::request_done>(
      &request, connection,
      [&] {
        return RequestDoneInfo{.status = request.response.status,
                               .error = message,
                               .error_phase = request.error ? request.error->phase : Phase::none,
                               .duration_ns = static_cast<std::uint64_t>((now - request.start).count()),
                               .body_bytes = request.body_bytes};
      },
      now);
}

void Engine::dialled(Connection& connection) {
  if (connection.refused_socket != 0) tell_fd_pressure(connection, connection.refused_socket, 0);
  pool_.dialled(connection.id, mono_now(), actions_);
}

void Engine::dial_failed(Connection& connection) {
  failed_dials_.push_back(connection.id);  // whoever waits for it reads its error first
  if (const int error_number = missing_descriptor(connection); error_number != 0) {
    no_descriptor(connection, error_number);
  } else {
    pool_.dial_failed(connection.id, mono_now(), actions_);
  }
}

void Engine::bury(std::unique_ptr<Dial> dial) { dial_graves_.push_back(std::move(dial)); }

void Engine::peer_closed(Connection& connection, CloseReason reason) {
  pool_.peer_closed(connection.id, reason, mono_now(), actions_);
}

void Engine::close_idle_connections() {
  pool_.close_idle_connections(mono_now(), actions_);
  drain();
}

void Engine::shut_down() {
  shutting_down_ = true;
  std::vector<RequestState*> all;
  for (const auto& [id, request] : requests_) all.push_back(request.get());
  std::sort(all.begin(), all.end(), [](const RequestState* a, const RequestState* b) { return a->id < b->id; });
  for (RequestState* request : all) {
    fail(*request, make_error(Errc::shutdown, request->target->redacted, request->phase()),
         CloseReason::transport_shutdown, QueueOutcome::shutdown);
  }
  for (auto& [number, delayed] : std::exchange(delayed_, {})) {
    loop.cancel_timer(delayed.timer);
    hooks.guard([&task = delayed.task] { task(true); });
  }
  drain();
  std::vector<Connection*> dialling;
  for (const auto& [id, connection] : connections_) {
    if (connection->dialling()) dialling.push_back(connection.get());
  }
  for (Connection* connection : dialling) {
    connection->abort_dial(make_error(Errc::shutdown, connection->target->host_port, connection->dial_phase));
  }
  pool_.close_idle_connections(mono_now(), actions_);
  drain();
}

std::error_code Engine::fire_interim(const RequestState& request, const Connection& connection,
                                     const Got1xxResponseInfo& info) {
  return hooks.fire_interim(
      request.request.trace.get(), [&] { return context(&request, &connection, {}); }, info);
}

RequestState* Engine::find_request(RequestId id) const {
  const auto found = requests_.find(id);
  return found != requests_.end() ? found->second.get() : nullptr;
}

Connection* Engine::own_dial(const RequestState& request) const {
  const auto found = connections_.find(request.dial);
  return found != connections_.end() && found->second->dialling() ? found->second.get() : nullptr;
}

const Connection* Engine::dial_of(const RequestState& request) const {
  const auto found = connections_.find(request.dial);
  if (found == connections_.end()) return nullptr;
  return found->second->dialling() || found->second->dial_error ? found->second.get() : nullptr;
}

Result<std::shared_ptr<const Destination>> Engine::target_of(const std::string& url) {
  std::optional<ProxyUrl> proxy;
  if (options.proxy) {
    Result<std::optional<ProxyUrl>> chosen = Failure(make_error(Errc::invalid_request, "the proxy function threw"));
    hooks.guard([&] { chosen = options.proxy(url); });
    if (!chosen) return Failure(std::move(chosen).error());
    proxy = *std::move(chosen);
  }
  const std::string by_proxy = proxy ? url + '\n' + proxy->text() : std::string();
  const std::string& known_as = proxy ? by_proxy : url;
  if (const auto known = targets_.find(known_as); known != targets_.end()) return known->second;
  auto parsed = http::parse_target(url);
  if (!parsed) return Failure(std::move(parsed).error());
  if (targets_.size() >= kMaxTargets) targets_.clear();
  auto made = std::make_shared<Destination>(make_destination(*std::move(parsed), std::move(proxy)));
  return targets_.emplace(known_as, std::move(made)).first->second;
}

HookContext Engine::context(const RequestState* request, const Connection* connection, MonoTime at) const {
  HookContext where = connection != nullptr ? connection->context() : HookContext{};
  where.mono = at == MonoTime{} ? mono_now() : at;
  if (request == nullptr) return where;
  where.request = request->id;
  where.attempt = request->attempt;
  if (connection == nullptr) where.connection = request->connection;
  return where;
}

void Engine::arm_pool_timer() {
  const std::optional<MonoTime> deadline = pool_.next_deadline();
  const bool armed = pool_timer_ != EventLoop::Timer{};
  if (!deadline || (armed && pool_timer_.first <= *deadline)) return;
  loop.cancel_timer(pool_timer_);
  pool_timer_ = loop.set_timer(*deadline, [this] {
    pool_timer_ = {};
    pool_.expire(mono_now(), actions_);
    drain();
  });
}

}  // namespace conntrace::transport
