// SPDX-License-Identifier: Apache-2.0
// How long requests may wait for a connection, and what is done when descriptors run out.
#include <curl/curl.h>
#include <fmt/format.h>

#include <algorithm>
#include <cerrno>

#include "http/keep_alive.h"
#include "transport/engine.h"
#include "transport/limits.h"

namespace conntrace::transport {
namespace {

/// Whether it listens now does not matter: who comes later wants the shares of the waits that have begun before.
bool wants_holders(const ClientTrace* trace) { return trace != nullptr && (trace->queue_enter || trace->queue_leave); }

}  // namespace

pool::Limits pool_limits(const TransportOptions& options) {
  return {.max_idle_conns = options.max_idle_conns,
          .max_idle_conns_per_host = options.max_idle_conns_per_host,
          .max_conns_per_host = options.max_conns_per_host,
          .idle_conn_timeout = options.idle_conn_timeout,
          .disable_keep_alives = options.disable_keep_alives,
          .max_total_conns = options.max_total_conns,
          .max_concurrent_dials = options.max_concurrent_dials,
          .max_queue = options.max_queue,
          .max_conn_lifetime = options.max_conn_lifetime,
          .max_conn_lifetime_jitter = options.max_conn_lifetime_jitter,
          .max_requests_per_conn = options.max_requests_per_conn,
          .idle_order = options.idle_order,
          .hosts = options.hosts};
}

pool::KeepAlive keep_alive_said(const Headers& headers) {
  const http::KeepAliveHints hints = http::keep_alive_hints(headers);
  pool::KeepAlive said;
  if (hints.timeout) said.timeout = *hints.timeout;
  if (hints.max) said.max = *hints.max;
  return said;
}

void Engine::acquire(RequestState& request, MonoTime now) {
  const bool explain = wants_holders(request.request.trace.get()) || wants_holders(hooks.wide().get());
  pool_.acquire(request.id, request.target->key, now, actions_, explain ? pool::Explain::yes : pool::Explain::no);
}

// A request that gets an idle connection at once never comes here.
void Engine::limit_wait(RequestState& request) {
  if (request.acquire_timer != EventLoop::Timer{}) return;
  std::chrono::nanoseconds timeout = options.acquire_timeout;
  if (!options.hosts.empty()) {
    const auto host = options.hosts.find(request.target->key.authority);
    if (host != options.hosts.end()) timeout = host->second.acquire_timeout.value_or(timeout);
  }
  if (timeout.count() <= 0) return;
  request.acquire_timer = loop.set_timer(mono_now() + timeout, [this, id = request.id] {
    RequestState* late = find_request(id);
    if (late == nullptr) return;
    late->acquire_timer = {};
    fail(*late, make_error(Errc::acquire_timeout, late->target->redacted, Phase::blocked), CloseReason::request_timeout,
         QueueOutcome::timeout);
    drain();
  });
}

// Connections of ours end some time, and then the request gets its descriptor; while there is none, only others can
// free one, for which it waits no longer than for a dial.
void Engine::limit_wait_for_descriptor(RequestState& request) {
  if (request.descriptor_timer != EventLoop::Timer{} || options.dial_timeout.count() <= 0) return;
  request.descriptor_timer = loop.set_timer(mono_now() + options.dial_timeout, [this, id = request.id] {
    RequestState* late = find_request(id);
    if (late == nullptr) return;
    late->descriptor_timer = {};
    if (pool_.snapshot().open() > 0) {
      limit_wait_for_descriptor(*late);
      return;
    }
    fail(*late, system_error(EMFILE, "socket for " + late->target->hop, Phase::blocked), CloseReason::request_timeout,
         QueueOutcome::timeout);
    drain();
  });
}

void Engine::waits_no_more(RequestState& request) {
  loop.cancel_timer(request.acquire_timer);
  loop.cancel_timer(request.descriptor_timer);
  request.acquire_timer = request.descriptor_timer = {};
}

std::optional<Error> Engine::descriptor_shortage() const {
  if (options.fd_reserve == 0) return std::nullopt;
  const auto open = descriptors_.open();
  const auto limit = Descriptors::soft_limit();
  if (!open || !limit || *open + options.fd_reserve < *limit) return std::nullopt;
  return system_error(EMFILE,
                      fmt::format("{} of {} descriptors are open, fd_reserve is {}", *open, *limit, options.fd_reserve),
                      Phase::connect);
}

// The errno that says so, or 0.
int Engine::missing_descriptor(const Connection& connection) const {
  const std::error_code code = connection.dial_error->code;
  if (code.category() == std::system_category()) {
    return code.value() == EMFILE || code.value() == ENFILE ? code.value() : 0;
  }
  // The file of certificates could not be opened, and that may be why.
  if (code != std::error_code(CURLE_SSL_CACERT_BADFILE, curl_category())) return 0;
  const auto open = descriptors_.open();
  const auto limit = Descriptors::soft_limit();
  return open && limit && *open >= *limit ? EMFILE : 0;
}

void Engine::no_descriptor(const Connection& connection, int error_number) {
  const std::size_t before = actions_.size();
  pool_.no_descriptor(connection.id, mono_now(), actions_);
  const auto freed = std::count_if(actions_.begin() + static_cast<std::ptrdiff_t>(before), actions_.end(),
                                   [](const pool::Action& action) {
                                     const auto* close = std::get_if<pool::Close>(&action);
                                     return close != nullptr && close->reason == CloseReason::fd_pressure;
                                   });
  tell_fd_pressure(connection, error_number, static_cast<std::uint64_t>(freed));
}

void Engine::tell_fd_pressure(const Connection& connection, int error_number, std::uint64_t freed) {
  fire<&ClientTrace::fd_pressure>(find_request(connection.dialled_by), &connection, [&] {
    return FdPressureInfo{.open = descriptors_.open(),
                          .soft_limit = Descriptors::soft_limit(),
                          .error_number = error_number,
                          .freed = freed};
  });
}

}  // namespace conntrace::transport
