// SPDX-License-Identifier: Apache-2.0
// What the kernel says of sockets and DNS packets.
#include <algorithm>

#include "timeline/engine.h"

namespace conntrace::cli {
namespace {

constexpr std::size_t kRetransmitsKept = 4096;
constexpr std::size_t kGapsKept = 256;

void once(std::uint64_t& moment, std::uint64_t mono_ns) {
  if (moment == 0) moment = mono_ns;
}

void set_if_said(std::string& field, Text text) {
  if (!text.empty()) field = text;
}

Text owner_name(const Event& event) {
  if (const auto* connect = get_if<EventKind::tcp_connect>(event)) return connect->comm;
  if (const auto* established = get_if<EventKind::tcp_established>(event)) return established->comm;
  if (const auto* existing = get_if<EventKind::tcp_existing>(event)) return existing->comm;
  if (const auto* accept = get_if<EventKind::tcp_accept>(event)) return accept->comm;
  if (const auto* query = get_if<EventKind::dns_query>(event)) return query->comm;
  return {};
}

}  // namespace

bool Engine::take_kernel(const Event& event) {
  const EventHeader& header = event.header;
  const Process process = process_of(header);
  if (process) {
    if (const Text name = owner_name(event); !name.empty() && !process->facts.comm)
      process->facts.comm = std::string(name);
    if (header.netns != 0 && !process->facts.netns) process->facts.netns = header.netns;
  }
  if (const auto* query = get_if<EventKind::dns_query>(event)) {
    dns_.query(header, *query);
    return process != nullptr;
  }
  if (const auto* answer = get_if<EventKind::dns_answer>(event)) {
    return dns_.answer(header, *answer) || process != nullptr;
  }
  const Socket socket = kernel_socket(event, process);
  if (!socket) return false;
  take_tcp(event, socket, process);
  return true;
}

Engine::Socket Engine::kernel_socket(const Event& event, const Process& process) {
  const EventHeader& header = event.header;
  if (header.cookie == 0) return nullptr;
  Socket socket = sockets_.find(header.netns, header.cookie);
  if (!socket) {
    if (!process || sockets_.ambiguous(header.netns, header.cookie)) return nullptr;
    socket = sockets_.add(header.netns, header.cookie);
    socket->first_ns = header.mono_ns;
    const bool beginning = event.kind() == EventKind::tcp_connect || event.kind() == EventKind::tcp_existing;
    const auto* established = get_if<EventKind::tcp_established>(event);
    // An accepted socket begins with its handshake.
    socket->start_missing = !beginning && (established == nullptr || established->direction == Direction::outgoing);
  }
  if (!socket->process) socket->process = process;
  socket->first_ns = std::min(socket->first_ns, header.mono_ns);
  socket->last_ns = std::max(socket->last_ns, header.mono_ns);
  if (header.source == Source::kernel && !socket->by_kernel) {
    socket->by_kernel = true;
    socket->retransmits_known_from_ns = header.mono_ns;
  }
  socket->by_proc |= header.source == Source::proc;
  socket->by_diag |= header.source == Source::diag;
  return socket;
}

void Engine::take_tcp(const Event& event, const Socket& known, const Process& accepted_by) {
  SocketState& socket = *known;
  const std::uint64_t now = event.header.mono_ns;
  if (const auto* connect = get_if<EventKind::tcp_connect>(event)) {
    once(socket.syn_ns, now);
    socket.direction = Direction::outgoing;
    socket.start_missing = false;
    set_if_said(socket.remote, connect->remote);
    if (connect->fd) socket.fd = connect->fd;
  } else if (const auto* established = get_if<EventKind::tcp_established>(event)) {
    once(socket.established_ns, now);
    socket.direction = established->direction;
    set_if_said(socket.local, established->local);
    set_if_said(socket.remote, established->remote);
    socket.handshake_ns = established->handshake_ns;
    socket.syn_retransmits = std::max(socket.syn_retransmits, established->syn_retransmits);
    socket.srtt_us = established->srtt_us;
  } else if (const auto* accept = get_if<EventKind::tcp_accept>(event)) {
    once(socket.accepted_ns, now);
    socket.process = accepted_by ? accepted_by : socket.process;  // not who listens, if that is another
    if (accept->fd) socket.fd = accept->fd;
  } else if (const auto* state = get_if<EventKind::tcp_state>(event)) {
    take_state(*state, now, socket);
    if (state->to == TcpState::CLOSE) schedule(known);
  } else if (const auto* again = get_if<EventKind::tcp_retransmit>(event)) {
    if (again->state == TcpState::SYN_SENT || again->state == TcpState::SYN_RECV) {
      // tcp_established says the total; this counts for those that never get there.
      if (socket.established_ns == 0) ++socket.syn_retransmits;
      return;
    }
    ++socket.retransmits;
    socket.retransmit_times.push_back(now);
    if (socket.retransmit_times.size() > kRetransmitsKept) {
      socket.retransmits_known_from_ns = socket.retransmit_times.front() + 1;
      socket.retransmit_times.pop_front();
    }
  } else if (get_if<EventKind::tcp_reset_received>(event) != nullptr) {
    once(socket.kernel_close.reset_received_ns, now);
  } else if (get_if<EventKind::tcp_reset_sent>(event) != nullptr) {
    once(socket.kernel_close.reset_sent_ns, now);
  } else if (const auto* error = get_if<EventKind::tcp_error>(event)) {
    if (socket.kernel_close.error_number == 0) socket.kernel_close.error_number = error->error_number;
  } else if (const auto* send = get_if<EventKind::tcp_send>(event)) {
    if (send->state == TcpState::CLOSE_WAIT) once(socket.sent_after_peer_fin_ns, now);
    // The library says itself when a connection was idle; on the accepting side the pause before a send is work.
    if (socket.direction != Direction::outgoing || socket.by_hook || !send->idle_ns || send->bytes_received == 0)
      return;
    socket.idle_gaps.push_back({now - std::min(now, *send->idle_ns), *send->idle_ns});
    if (socket.idle_gaps.size() > kGapsKept) {
      socket.idle_gaps.pop_front();
      socket.gaps_cut = true;
    }
  } else if (const auto* closed = get_if<EventKind::tcp_closed>(event)) {
    once(socket.kernel_close.destroyed_ns, now);
    if (closed->bytes_sent) socket.bytes_sent = closed->bytes_sent;
    if (closed->bytes_received) socket.bytes_received = closed->bytes_received;
    if (closed->retransmits) socket.retransmits = *closed->retransmits;
    if (closed->srtt_us && *closed->srtt_us != 0) socket.srtt_us = *closed->srtt_us;
    schedule(known);
  } else if (const auto* existing = get_if<EventKind::tcp_existing>(event)) {
    socket.listening = existing->state == TcpState::LISTEN;
    if (!socket.by_hook) socket.existed_before = !existing->absent_mono_ns;
    if (socket.direction == Direction::unknown) socket.direction = existing->direction;
    set_if_said(socket.local, existing->local);
    set_if_said(socket.remote, existing->remote);
    if (existing->fd) socket.fd = existing->fd;
    const TcpState was = existing->state;
    KernelClose& close = socket.kernel_close;
    if (was == TcpState::CLOSE_WAIT || was == TcpState::LAST_ACK) once(close.peer_fin_ns, now);
    if (was == TcpState::FIN_WAIT1 || was == TcpState::FIN_WAIT2) once(close.local_fin_ns, now);
  }
}

void Engine::take_state(const TcpStateInfo& info, std::uint64_t mono_ns, SocketState& socket) {
  KernelClose& close = socket.kernel_close;
  switch (info.to) {
    case TcpState::FIN_WAIT1:
    case TcpState::LAST_ACK: once(close.local_fin_ns, mono_ns); break;
    case TcpState::CLOSE_WAIT:
    case TcpState::CLOSING: once(close.peer_fin_ns, mono_ns); break;
    case TcpState::CLOSE: {
      once(close.state_closed_ns, mono_ns);
      if (info.from == TcpState::SYN_SENT || info.from == TcpState::SYN_RECV) {
        once(close.connect_failed_ns, mono_ns);
      } else if (info.from == TcpState::ESTABLISHED) {
        once(close.aborted_ns, mono_ns);
      }
      break;
    }
    default: break;
  }
}

}  // namespace conntrace::cli
