// SPDX-License-Identifier: Apache-2.0
// What the library says of requests.
#include <algorithm>

#include "timeline/engine.h"

namespace conntrace::cli {
namespace {

std::optional<std::string> said(Text text) {
  return text.empty() ? std::nullopt : std::optional<std::string>(std::string(text));
}

/// Moments are set once: a record that comes twice (two readers of one process) changes nothing.
void once(std::uint64_t& moment, std::uint64_t mono_ns) {
  if (moment == 0) moment = mono_ns;
}

/// The others name the connection that the request had, which may be long gone.
bool tells_of_connection(EventKind kind) {
  switch (kind) {
    case EventKind::request_start:
    case EventKind::get_conn:
    case EventKind::queue_enter:
    case EventKind::queue_leave:
    case EventKind::get_conn_failed:
    case EventKind::retry:
    case EventKind::request_done: return false;
    default: return true;
  }
}

}  // namespace

bool Engine::take_hook(const Event& event) {
  const EventHeader& header = event.header;
  const Process process = process_of(header);
  if (!process) return false;
  process->by_hook = true;
  process->last_hook_ns = std::max(process->last_hook_ns, header.mono_ns);
  if (header.netns != 0) process->facts.netns = header.netns;
  switch (event.kind()) {
    case EventKind::pool_snapshot:
    case EventKind::fd_pressure: return true;              // of the process
    case EventKind::redirect: return header.request != 0;  // the request that follows says where it came from
    default: break;
  }
  if (header.request == 0 && header.connection == 0 && header.cookie == 0) return false;
  HookPlace place = place_of(event, process);
  take_live(event, place);
  if (place.attempt != nullptr) {
    take_request(event, place);
    take_queue(event, place);
    take_exchange(event, place);
  }
  if (place.dial) {
    take_dial(event, place);
    take_pool(event, place);
  }
  return place.request != nullptr || place.dial != nullptr || place.late;
}

/// The socket is one of this dial's.
void Engine::claim(SocketState& socket, const HookPlace& place) {
  socket.first_ns = socket.first_ns == 0 ? place.header.mono_ns : std::min(socket.first_ns, place.header.mono_ns);
  if (socket.by_hook && socket.number == place.dial->number) return;
  socket.by_hook = true;
  socket.process = place.process;
  socket.number = place.dial->number;
  socket.direction = Direction::outgoing;
  socket.why_new = place.dial->why_new;
  socket.candidates = place.dial->candidates;
  socket.idle_gaps.clear();  // the library's word on idleness is better than the edges of sends
}

Engine::HookPlace Engine::place_of(const Event& event, const Process& process) {
  const EventHeader& header = event.header;
  HookPlace place{.header = header, .process = process};
  if (header.request != 0) {
    const auto found = process->requests.find(header.request);
    if (found != process->requests.end()) place.request = found->second;
    const bool begins = event.kind() == EventKind::request_start;
    if (place.request && begins && place.request->start_seen && place.request->start_ns != header.mono_ns) {
      emit(place.request);  // the numbers begin again: another transport of this process
      place.request = nullptr;
    }
    // Dials outlive the request that began them; what they say later is of the connection only.
    const bool of_dial = (event.kind() >= EventKind::why_new && event.kind() <= EventKind::dial_done) ||
                         event.kind() == EventKind::proxy_connect_start ||
                         event.kind() == EventKind::proxy_connect_done || event.kind() == EventKind::tls_message;
    const bool of_connection = of_dial || event.kind() == EventKind::conn_closed;
    const bool done =
        !place.request && std::ranges::find(process->done_requests, header.request) != process->done_requests.end();
    if (!place.request && (begins || (!of_connection && !done))) {
      place.request = std::make_shared<RequestState>();
      place.request->process = process;
      place.request->facts.number = header.request;
      place.request->first_ns = header.mono_ns;
      process->requests[header.request] = place.request;
    }
    if (!place.request && done) place.late = true;
  }
  if (place.request) {
    place.request->first_ns = std::min(place.request->first_ns, header.mono_ns);
    place.request->last_ns = std::max(place.request->last_ns, header.mono_ns);
    auto& attempts = place.request->attempts;
    const std::uint32_t last = attempts.empty() ? 1 : attempts.rbegin()->first;
    place.attempt = &attempts[header.attempt != 0 ? header.attempt : last];
  }
  if (header.connection != 0) {
    const auto known = process->dials.find(header.connection);
    if (known != process->dials.end()) place.dial = known->second;
    const bool again = place.dial && place.dial->began_ns != 0 && event.kind() == EventKind::why_new &&
                       place.dial->began_ns != header.mono_ns;
    if ((!place.dial && tells_of_connection(event.kind())) || again) {
      place.dial = std::make_shared<DialState>();
      place.dial->number = header.connection;
      process->dials[header.connection] = place.dial;
    }
  }
  if (header.cookie != 0) {
    place.socket = sockets_.find(header.netns, header.cookie);
    if (!place.socket && place.dial && !sockets_.ambiguous(header.netns, header.cookie)) {
      place.socket = sockets_.add(header.netns, header.cookie);
      place.socket->first_ns = header.mono_ns;
      place.socket->start_missing = event.kind() != EventKind::connect_start;
    }
  } else if (place.dial) {
    place.socket = place.dial->socket;
  }
  if (place.socket && place.dial) {
    claim(*place.socket, place);
    place.socket->last_ns = std::max(place.socket->last_ns, header.mono_ns);
  }
  return place;
}

void Engine::take_live(const Event& event, HookPlace& place) {
  if (const auto* live = get_if<EventKind::live_request>(event); live != nullptr && place.request) {
    RequestState& request = *place.request;
    if (request.start_seen) return;  // nothing new
    request.start_ns = live->start_mono_ns;
    request.joined_in = live->phase;
    request.facts.method = said(live->method);
    request.facts.url = said(live->url);
    request.facts.host = said(live->host);
  }
  if (const auto* live = get_if<EventKind::live_connection>(event); live != nullptr && place.dial) {
    adopt_connection(place);
    SocketState& socket = *place.socket;
    place.dial->host_port = live->host_port;
    if (socket.opened_ns != 0) return;  // nothing new
    socket.existed_before = true;
    socket.opened_ns = live->opened_mono_ns;
    socket.first_ns = std::min(socket.first_ns, live->opened_mono_ns);
    if (!live->local.empty()) socket.local = live->local;
    if (!live->remote.empty()) socket.remote = live->remote;
    if (live->fd > 0) socket.fd = live->fd;
    socket.dialled_by = live->dialled_by;
    socket.requests = live->requests;
    if (live->idle) socket.idle_since_ns = place.header.mono_ns;
  }
}

void Engine::take_request(const Event& event, HookPlace& place) {
  RequestState& request = *place.request;
  AttemptState& attempt = *place.attempt;
  const std::uint64_t now = place.header.mono_ns;
  if (const auto* start = get_if<EventKind::request_start>(event)) {
    request.start_ns = now;
    request.start_seen = true;
    request.facts.method = said(start->method);
    request.facts.url = said(start->url);
    request.facts.host = said(start->host);
    request.facts.traceparent = said(start->traceparent);
    request.redirected_from = start->redirected_from;
    request.retry_of = start->retry_of;
  } else if (get_if<EventKind::get_conn>(event) != nullptr) {
    once(attempt.get_conn_ns, now);
  } else if (get_if<EventKind::get_conn_failed>(event) != nullptr) {
    once(attempt.failed_ns, now);
  } else if (const auto* retry = get_if<EventKind::retry>(event)) {
    once(attempt.retry_ns, now);
    attempt.retry_reason = retry->reason;
  } else if (const auto* done = get_if<EventKind::request_done>(event)) {
    once(request.done_ns, now);
    request.status = done->status;
    request.error = done->error;
    request.error_phase = done->error_phase;
    request.body_bytes = done->body_bytes;
    schedule(place.request);
  }
}

void Engine::take_queue(const Event& event, HookPlace& place) {
  std::vector<QueueWait>& waits = place.attempt->waits;
  if (const auto* enter = get_if<EventKind::queue_enter>(event)) {
    if (!waits.empty() && waits.back().enter_ns == place.header.mono_ns) return;  // it came twice
    QueueWait wait{.enter_ns = place.header.mono_ns, .limit = enter->limit, .limit_value = enter->limit_value};
    wait.position = enter->position;
    wait.depth = enter->depth;
    wait.holders.assign(enter->holders.begin(), enter->holders.end());
    waits.push_back(std::move(wait));
  } else if (const auto* leave = get_if<EventKind::queue_leave>(event)) {
    if (!waits.empty() && waits.back().leave_ns == place.header.mono_ns) return;
    if (waits.empty() || waits.back().leave_ns != 0) {  // its queue_enter was before the records
      const std::uint64_t now = place.header.mono_ns;
      waits.push_back({.enter_ns = now - std::min(now, leave->waited_ns), .limit = leave->limit});
    }
    QueueWait& wait = waits.back();
    wait.leave_ns = place.header.mono_ns;
    wait.outcome = leave->outcome;
    wait.released_by = leave->released_by;
    wait.others_share = leave->others_share;
    // What each holder did when the wait began is in queue_enter, its share in queue_leave.
    std::vector<Holder> holders(leave->holders.begin(), leave->holders.end());
    for (Holder& holder : holders) {
      const auto at_enter = std::ranges::find(wait.holders, holder.connection, &Holder::connection);
      if (holder.doing == Phase::none && at_enter != wait.holders.end()) holder.doing = at_enter->doing;
    }
    if (!holders.empty()) wait.holders = std::move(holders);
  }
}

void Engine::take_exchange(const Event& event, HookPlace& place) {
  AttemptState& attempt = *place.attempt;
  const std::uint64_t now = place.header.mono_ns;
  const bool of_exchange = event.kind() >= EventKind::wrote_headers && event.kind() <= EventKind::body_closed;
  if (of_exchange && !attempt.socket) attempt.socket = place.socket;  // its got_conn was not recorded
  switch (event.kind()) {
    case EventKind::wrote_request: return once(attempt.wrote_request_ns, now);
    case EventKind::got_first_response_byte: return once(attempt.first_byte_ns, now);
    case EventKind::got_100_continue:
    case EventKind::got_1xx_response: attempt.interim_ns = now; return;
    case EventKind::body_closed: return once(attempt.body_closed_ns, now);
    default: break;
  }
  if (const auto* head = get_if<EventKind::response_head>(event)) {
    once(attempt.head_ns, now);
    attempt.response = ResponseFacts{.status = head->status, .protocol = said(head->protocol)};
  } else if (const auto* body = get_if<EventKind::body_done>(event)) {
    once(attempt.body_done_ns, now);
    if (attempt.response) attempt.response->body_bytes = body->bytes;
  }
}

}  // namespace conntrace::cli
