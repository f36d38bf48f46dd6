// SPDX-License-Identifier: Apache-2.0
#include "transport/connection.h"

#include <sys/epoll.h>

#include <array>
#include <cerrno>
#include <string_view>

#include "transport/engine.h"

namespace conntrace::transport {
namespace {

std::uint64_t since(MonoTime then, MonoTime now) {
  return then == MonoTime{} ? 0 : static_cast<std::uint64_t>((now - then).count());
}

}  // namespace

Connection::Connection(Engine& engine, ConnectionId connection_id, std::shared_ptr<const Destination> to, RequestId by)
    : id(connection_id), target(std::move(to)), dialled_by(by), engine_(engine), netns_(engine.netns), parser_(*this) {}

Connection::~Connection() {
  engine_.loop.cancel_timer(dial_timer_);
  engine_.loop.cancel_timer(tls_timer_);
  engine_.loop.cancel_timer(wait_timer_);
  engine_.loop.cancel_timer(continue_timer_);
  engine_.loop.cancel_timer(pause_timer_);
  if (stream_.open()) engine_.loop.remove(stream_.fd(), this);
}

void Connection::on_io(std::uint32_t epoll_events) {
  if (!stream_.open()) return;
  if (request_ != nullptr) {
    constexpr std::uint32_t kEnd = EPOLLRDHUP | EPOLLHUP | EPOLLERR;
    if ((epoll_events & EPOLLOUT) != 0 && unsent()) write_more();
    if (request_ != nullptr && (epoll_events & (EPOLLIN | kEnd)) != 0) read_more((epoll_events & kEnd) != 0);
    send_what_reading_allowed();
  } else if (const auto verdict = idle_verdict()) {
    engine_.peer_closed(*this, *verdict);
  }
}

std::optional<CloseReason> Connection::idle_verdict() {
  if (!idle_verdict_) idle_verdict_ = look_at_idle();
  return idle_verdict_;
}

std::optional<CloseReason> Connection::look_at_idle() {
  std::array<char, 12> bytes;
  const IoResult said = stream_.peek(bytes.data(), bytes.size());
  switch (said.status) {
    case IoStatus::again: return std::nullopt;
    case IoStatus::end: return CloseReason::server_closed_idle;
    case IoStatus::error:
      error_number_ = said.error_number;
      return said.error_number == ECONNRESET ? CloseReason::server_reset_idle : CloseReason::read_error;
    case IoStatus::ok: break;
  }
  // A server that gives up on an idle connection may say so: RFC 9110 section 15.5.9.
  const std::string_view text(bytes.data(), said.bytes);
  const bool timed_out = text.size() == bytes.size() && text.starts_with("HTTP/1.") && text.substr(9) == "408";
  return timed_out ? CloseReason::server_closed_idle : CloseReason::protocol_error;
}

void Connection::close(CloseReason reason, std::optional<MonoTime> idle) {
  const MonoTime now = mono_now();
  Ending ending;
  if (stream_.open()) {
    engine_.loop.remove(stream_.fd(), this);
    ending = stream_.close();
  }
  // A reset leaves no state to read; the error that it left does tell, or the reason itself. EPIPE is a reset after a
  // FIN, unless somebody has shut down a duplicate of the socket.
  if (ending.by == ClosedBy::unknown) {
    const bool was_reset = error_number_ == ECONNRESET || error_number_ == EPIPE;
    const bool by_peer = reason == CloseReason::server_closed_idle || reason == CloseReason::server_reset_idle;
    if (was_reset || by_peer) ending = {ClosedBy::peer, was_reset ? error_number_ == EPIPE : close_inferred_};
  }
  engine_.fire<&ClientTrace::conn_closed>(
      nullptr, this,
      [&] {
        ConnClosedInfo info{.reason = reason,
                            .by = ending.by,
                            .error_number = error_number_,
                            .age_ns = since(opened_, now),
                            .requests = requests_,
                            .bytes_sent = bytes_sent_,
                            .bytes_received = bytes_received_,
                            .local = local_,
                            .remote = remote_,
                            .inferred = close_inferred_,
                            .by_inferred = ending.inferred};
        if (idle) info.idle_ns = static_cast<std::uint64_t>(idle->count());
        return info;
      },
      now);
}

HookContext Connection::context() const {
  return {.connection = id, .cookie = cookie_, .netns = cookie_ != 0 ? netns_ : 0};
}

LiveConnectionInfo Connection::live() const {
  return {.idle = request_ == nullptr,
          .local = local_,
          .remote = remote_,
          .host_port = target->forwarded() ? target->hop : target->host_port,
          .fd = stream_.fd(),
          .opened_mono_ns = static_cast<std::uint64_t>(opened_.count()),
          .requests = requests_,
          .dialled_by = dialled_by};
}

GotConnInfo Connection::got_conn(bool reused, bool was_idle, MonoTime idle) const {
  GotConnInfo info{.reused = reused,
                   .was_idle = was_idle,
                   .requests_before = requests_,
                   .local = local_,
                   .remote = remote_,
                   .protocol = "http/1.1",
                   .fd = stream_.fd(),
                   .dialled_by = dialled_by,
                   .opened_mono_ns = static_cast<std::uint64_t>(opened_.count())};
  if (was_idle) info.idle_ns = static_cast<std::uint64_t>(idle.count());
  return info;
}

}  // namespace conntrace::transport
