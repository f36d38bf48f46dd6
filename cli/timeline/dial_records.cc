// SPDX-License-Identifier: Apache-2.0
// What the library says of dials and connections.
#include <algorithm>
#include <cerrno>

#include "timeline/engine.h"

namespace conntrace::cli {
namespace {

constexpr std::size_t kUsesKept = 256;
constexpr std::size_t kClosedKept = 256;

std::optional<std::string> said(Text text) {
  return text.empty() ? std::nullopt : std::optional<std::string>(std::string(text));
}

/// The connect of a socket; without a cookie the latest to that address that has not ended.
ConnectTry* find_try(DialState& dial, const std::shared_ptr<SocketState>& socket, Text address) {
  for (auto connect = dial.tries.rbegin(); connect != dial.tries.rend(); ++connect) {
    if (socket && connect->socket == socket) return &*connect;
    if (!socket && connect->address == address && connect->end_ns == 0) return &*connect;
  }
  return nullptr;
}

void add_idle_gap(SocketState& socket, std::uint64_t end_ns, std::uint64_t duration_ns) {
  socket.idle_gaps.push_back({end_ns - std::min(end_ns, duration_ns), duration_ns});
  if (socket.idle_gaps.size() > kUsesKept) {
    socket.idle_gaps.pop_front();
    socket.gaps_cut = true;
  }
}

void end_use(SocketState& socket, std::uint64_t request, std::uint64_t now_ns) {
  for (auto use = socket.uses.rbegin(); use != socket.uses.rend(); ++use) {
    if (use->end_ns == 0 && (request == 0 || use->request == request)) use->end_ns = now_ns;
  }
}

}  // namespace

void Engine::take_dial(const Event& event, HookPlace& place) {
  DialState& dial = *place.dial;
  const std::uint64_t now = place.header.mono_ns;
  if (const auto* why = get_if<EventKind::why_new>(event)) {
    if (dial.began_ns == now) return;  // it came twice
    dial.began_ns = now;
    dial.request = place.header.request;
    dial.attempt = place.header.attempt;
    dial.why_new = why->reason;
    dial.host_port = why->host_port;
    dial.candidates.assign(why->candidates.begin(), why->candidates.end());
    if (place.attempt != nullptr) place.attempt->own_dials.push_back(place.dial);
  } else if (const auto* start = get_if<EventKind::dns_start>(event)) {
    dial.dns_start_ns = now;
    dial.dns_host = start->host;
  } else if (const auto* done = get_if<EventKind::dns_done>(event)) {
    dial.dns_done_ns = now;
    if (dial.dns_host.empty()) dial.dns_host = done->host;
    dial.dns_addresses.assign(done->addresses.begin(), done->addresses.end());
    dial.dns_error = done->error;
    dial.dns_coalesced = done->coalesced;
    dial.resolver_tid = done->resolver_tid;
    dial.resolver_start_ns = done->resolver_start_ns;
    dial.resolver_end_ns = done->resolver_end_ns;
  } else if (const auto* connect = get_if<EventKind::connect_start>(event)) {
    const ConnectTry* same = find_try(dial, place.socket, connect->address);
    if (same != nullptr && same->start_ns == now) return;
    if (!place.socket || find_try(dial, place.socket, {}) != nullptr) {  // the library could not read the cookie
      place.socket = std::make_shared<SocketState>();
      claim(*place.socket, place);
      loose_.push_back(place.socket);
    }
    if (connect->network != "dial") place.socket->remote = connect->address;
    if (connect->fd > 0) place.socket->fd = connect->fd;
    if (dial.request != 0) place.socket->dialled_by = dial.request;
    dial.tries.push_back({.address = std::string(connect->address), .start_ns = now, .socket = place.socket});
  } else if (const auto* connected = get_if<EventKind::connect_done>(event)) {
    ConnectTry* attempt = find_try(dial, place.header.cookie != 0 ? place.socket : nullptr, connected->address);
    if (attempt == nullptr && connected->network == "dial") {
      // The application's dial function made the socket: now it has a name.
      attempt = find_try(dial, nullptr, connected->address);
      if (attempt != nullptr && place.socket) {
        place.socket->start_missing = false;
        place.socket->dialled_by = attempt->socket->dialled_by;
        std::erase(loose_, attempt->socket);
        attempt->socket = place.socket;
      }
    }
    if (attempt == nullptr) return;
    attempt->end_ns = now;
    attempt->error = connected->error;
    attempt->error_number = connected->error_number;
    if (!connected->local.empty()) attempt->socket->local = connected->local;
  } else if (const auto* hello = get_if<EventKind::tls_handshake_start>(event)) {
    if (!dial.handshakes.empty() && dial.handshakes.back().start_ns == now) return;  // it came twice
    dial.handshakes.push_back({.start_ns = now, .facts = {.server_name = said(hello->server_name)}});
  } else if (const auto* tls = get_if<EventKind::tls_handshake_done>(event)) {
    if (dial.handshakes.empty()) return;
    DialState::Handshake& handshake = dial.handshakes.back();
    handshake.done_ns = now;
    handshake.facts.version = said(tls->version);
    handshake.facts.cipher = said(tls->cipher);
    handshake.facts.alpn = said(tls->alpn);
    handshake.facts.error = said(tls->error);
    if (tls->error.empty()) handshake.facts.resumed = tls->resumed;
  } else if (const auto* asked = get_if<EventKind::proxy_connect_start>(event)) {
    dial.proxy_start_ns = now;
    dial.proxy = {.proxy = said(asked->proxy), .target = said(asked->target), .kind = asked->proxy_kind};
  } else if (const auto* answered = get_if<EventKind::proxy_connect_done>(event)) {
    dial.proxy_done_ns = now;
    if (answered->status != 0) dial.proxy.status = answered->status;
    dial.proxy.error = said(answered->error);
  } else if (const auto* dialled = get_if<EventKind::dial_done>(event)) {
    dial.done_ns = now;
    dial.error = dialled->error;
    if (dial.error.empty()) {
      adopt_connection(place);
      if (place.socket->opened_ns == 0) place.socket->opened_ns = now;
    }
    end_lost_tries(place.dial, dial.error.empty());
    if (!dial.error.empty()) remember_closed(place);
  }
}

/// The place's socket is the connection of its dial from here on.
void Engine::adopt_connection(HookPlace& place) {
  DialState& dial = *place.dial;
  if (!place.socket) {
    for (const ConnectTry& attempt : dial.tries) {
      if (attempt.end_ns != 0 && attempt.error.empty()) place.socket = attempt.socket;
    }
  }
  if (!place.socket) {
    place.socket = std::make_shared<SocketState>();
    claim(*place.socket, place);
    place.socket->start_missing = true;
    loose_.push_back(place.socket);
  }
  dial.socket = place.socket;
  if (!place.socket->requests) place.socket->requests = 0;
}

/// libcurl closes the sockets of addresses that it did not choose by itself: no conn_closed comes for them.
void Engine::end_lost_tries(const Dial& dial, bool succeeded) {
  for (const ConnectTry& attempt : dial->tries) {
    SocketState& socket = *attempt.socket;
    if (attempt.socket == dial->socket || socket.hook_close) continue;
    HookClose close{.at_ns = attempt.end_ns != 0 ? attempt.end_ns : dial->done_ns};
    const bool cancelled = attempt.error_number == 0 || attempt.error_number == ECANCELED;
    if (!cancelled) close.error_number = attempt.error_number;  // ECANCELED is the library's word, not the socket's
    close.inferred = cancelled;                                 // a failed connect is its own reason
    close.reason = succeeded && cancelled ? CloseReason::dial_lost_race : CloseReason::dial_failed;
    socket.hook_close = close;
    schedule(attempt.socket);
  }
}

void Engine::take_pool(const Event& event, HookPlace& place) {
  const std::uint64_t now = place.header.mono_ns;
  if (const auto* got = get_if<EventKind::got_conn>(event)) {
    adopt_connection(place);
    SocketState& socket = *place.socket;
    const UseState* last = socket.uses.empty() ? nullptr : &socket.uses.back();
    if (last != nullptr && last->request == place.header.request && last->start_ns == now) return;
    if (!got->local.empty()) socket.local = got->local;
    if (!got->remote.empty()) socket.remote = got->remote;
    if (!got->protocol.empty()) socket.protocol = got->protocol;
    if (got->fd > 0) socket.fd = got->fd;
    if (got->dialled_by) socket.dialled_by = got->dialled_by;
    if (got->opened_mono_ns != 0) socket.opened_ns = got->opened_mono_ns;
    if (got->was_idle && got->idle_ns) add_idle_gap(socket, now, *got->idle_ns);
    socket.idle_since_ns = 0;
    socket.requests = got->requests_before + 1;
    socket.uses.push_back({place.header.request, now, 0});
    if (socket.uses.size() > kUsesKept) {
      socket.uses.pop_front();
      socket.uses_cut = true;
    }
    if (place.attempt == nullptr) return;
    AttemptState& attempt = *place.attempt;
    attempt.got_conn_ns = now;
    attempt.dial = place.dial;
    attempt.socket = place.socket;
    attempt.connection.reused = got->reused;
    attempt.connection.was_idle = got->was_idle;
    attempt.connection.idle_ns = got->idle_ns;
    attempt.connection.requests_before = got->requests_before;
  } else if (const auto* put = get_if<EventKind::put_idle_conn>(event)) {
    if (place.socket) {
      end_use(*place.socket, place.header.request, now);
      if (put->error.empty() && !put->handed_to) place.socket->idle_since_ns = now;
    }
    if (place.attempt != nullptr) {
      place.attempt->put_idle_ns = now;
      place.attempt->put_idle_error = put->error;
      place.attempt->handed_to = put->handed_to;
    }
    if (!put->handed_to) return;
    const auto waiter = place.process->requests.find(*put->handed_to);
    if (waiter != place.process->requests.end() && !waiter->second->attempts.empty() && place.header.request != 0)
      waiter->second->attempts.rbegin()->second.handed_by = place.header.request;
  } else if (const auto* closed = get_if<EventKind::conn_closed>(event)) {
    take_conn_closed(*closed, place);
  }
}

void Engine::take_conn_closed(const ConnClosedInfo& info, HookPlace& place) {
  const std::uint64_t now = place.header.mono_ns;
  if (!place.socket && !place.dial->tries.empty()) place.socket = place.dial->tries.back().socket;
  if (!place.socket) adopt_connection(place);
  SocketState& socket = *place.socket;
  if (socket.hook_close && socket.hook_close->at_ns == now && socket.hook_close->reason == info.reason) return;
  socket.hook_close = HookClose{.at_ns = now,
                                .reason = info.reason,
                                .by = info.by,
                                .error_number = info.error_number,
                                .idle_ns = info.idle_ns,
                                .inferred = info.inferred,
                                .by_inferred = info.by_inferred};
  if (!socket.by_kernel) {
    socket.bytes_sent = info.bytes_sent;
    socket.bytes_received = info.bytes_received;
  }
  if (!info.local.empty()) socket.local = info.local;
  if (!info.remote.empty()) socket.remote = info.remote;
  if (info.idle_ns) add_idle_gap(socket, now, *info.idle_ns);
  socket.idle_since_ns = 0;
  // The request that used it last, whether or not the record names it.
  for (UseState& use : socket.uses) {
    if (use.end_ns != 0 && use.end_ns != now) continue;
    const auto user = place.process->requests.find(use.request);
    if (user != place.process->requests.end()) {
      for (auto& [number, attempt] : user->second->attempts) {
        if (attempt.socket == place.socket && attempt.conn_closed_ns == 0) attempt.conn_closed_ns = now;
      }
    }
  }
  end_use(socket, 0, now);
  remember_closed(place);
  schedule(place.socket);
}

/// Later dials name it as a candidate; then it may be forgotten.
void Engine::remember_closed(HookPlace& place) {
  auto& closed = place.process->closed;
  closed.push_back(place.dial);
  if (closed.size() <= kClosedKept) return;
  const auto oldest = place.process->dials.find(closed.front()->number);
  if (oldest != place.process->dials.end() && oldest->second == closed.front()) place.process->dials.erase(oldest);
  closed.pop_front();
}

}  // namespace conntrace::cli
