// SPDX-License-Identifier: Apache-2.0
// A connection while it carries a request: what comes in.
#include <algorithm>
#include <cerrno>

#include "transport/connection.h"
#include "transport/engine.h"

namespace conntrace::transport {
namespace {

constexpr int kSwitchingProtocols = 101;
/// Then others have their turn: a server may be faster than the application for as long as the body lasts.
constexpr int kReadsAtOnce = 16;
/// Not limited.
constexpr MonoTime kUnlimited{};

}  // namespace

void Connection::read_more(bool peer_done) {
  exchange_.peer_done = exchange_.peer_done || peer_done;
  std::string& buffer = engine_.read_buffer;
  for (int reads = 0; !request_->paused; ++reads) {
    // What a peer that takes no more has left behind is read to its end: it cannot become more.
    if (reads >= kReadsAtOnce && !exchange_.write_failed) {
      if (!std::exchange(reads_on_later_, true)) engine_.read_on_later(id);
      return;
    }
    const IoResult got = stream_.receive(buffer.data(), buffer.size());
    if (got.status == IoStatus::again) return;
    if (got.status == IoStatus::end) {
      take_end();
      return;
    }
    if (got.status == IoStatus::error) {
      on_read_error(got.error_number);
      return;
    }
    bytes_received_ += got.bytes;
    if (!take({buffer.data(), got.bytes})) return;
    // Edge-triggered: what comes later makes a new event, unless the end was announced with this one already.
    if (stream_.plain() && got.bytes < buffer.size() && !exchange_.peer_done) return;
  }
}

bool Connection::take(std::string_view bytes) {
  if (!exchange_.got_byte) {
    exchange_.got_byte = true;
    const MonoTime now = mono_now();
    request_->enter(Phase::receive, now);
    engine_.fire<&ClientTrace::got_first_response_byte>(
        request_, this, [] { return GotFirstResponseByteInfo{}; }, now);
  }
  const http::ParseResult parsed = parser_.feed(bytes);
  bytes.remove_prefix(parsed.used);
  switch (parsed.status) {
    case http::ParseStatus::need_more: return true;
    case http::ParseStatus::complete: finish_exchange(bytes.empty()); return false;
    case http::ParseStatus::stopped: stop_exchange(); return false;
    case http::ParseStatus::failed:
      fail_exchange(
          make_error(Errc::protocol_error, request_->target->redacted + " (" + parser_.error() + ")", Phase::receive),
          CloseReason::protocol_error);
      return false;
    case http::ParseStatus::header_too_large:
      fail_exchange(
          make_error(Errc::header_too_large, request_->target->redacted + " (" + parser_.error() + ")", Phase::receive),
          CloseReason::protocol_error);
      return false;
    case http::ParseStatus::not_http1:
      fail_exchange(
          make_error(Errc::not_http1, request_->target->redacted + " (" + parser_.error() + alpn_note("; ") + ")",
                     Phase::receive),
          CloseReason::protocol_error);
      return false;
  }
  return false;
}

bool Connection::on_head(http::ResponseHead&& head) {
  if (head.status / 100 == 1 && head.status != kSwitchingProtocols) return on_interim(head);
  RequestState& request = *request_;
  const bool granted = http::grants(exchange_.asked, head.status);
  limit_phase(granted ? kUnlimited : engine_.options.receive_timeout, Phase::receive, "receiving ");
  request.has_head = true;
  request.body_size = head.body == http::BodyFraming::none ? std::optional<std::uint64_t>(0) : head.content_length;
  request.response.status = head.status;
  request.response.reason = std::move(head.reason);
  request.response.headers = std::move(head.headers);
  engine_.fire<&ClientTrace::response_head>(request_, this, [&] {
    return ResponseHeadInfo{.status = head.status,
                            .protocol = head.minor_version == 0 ? "http/1.0" : "http/1.1",
                            .content_length = head.content_length,
                            .keep_alive = head.keep_alive};
  });
  HeadAction action = HeadAction::take;
  if (request.request.on_head) {
    request.response.request = request.id;
    request.response.connection = id;
    engine_.hooks.guard([&] { action = request.request.on_head(request.response); });
  }
  if (granted) begin_tunnel();
  return action == HeadAction::take || begin_drain();
}

bool Connection::on_interim(const http::ResponseHead& head) {
  if (head.status == 100 && exchange_.body_held) {
    engine_.fire<&ClientTrace::got_100_continue>(request_, this, [] { return Got100ContinueInfo{}; });
  }
  exchange_.interim_error = engine_.fire_interim(*request_, *this, {.code = head.status, .headers = &head.headers});
  if (exchange_.interim_error) return false;
  if (head.status == 100) exchange_.continue_came = true;
  return true;
}

bool Connection::on_body(std::string_view piece) {
  RequestState& request = *request_;
  request.body_bytes += piece.size();
  if (request.draining) {
    if (piece.size() > drain_left_) return false;
    drain_left_ -= piece.size();
    return true;
  }
  if (request.paused) {  // this piece was read before the application paused
    request.kept += piece;
    return true;
  }
  if (request.request.on_body) {
    const BodyAction action = engine_.hand_over(request, piece);
    if (request.paused) watch_pause();
    return action != BodyAction::stop || begin_drain();
  }
  const std::size_t limit = engine_.options.max_response_body_bytes;
  if (limit != 0 && request.body_bytes > limit) {
    exchange_.body_too_large = true;
    return false;
  }
  request.response.body += piece;
  return true;
}

bool Connection::on_trailers(Headers&& trailers) {
  request_->response.trailers = std::move(trailers);
  return true;
}

bool Connection::begin_drain() {
  if (exchange_.tunnel) return false;
  RequestState& request = *request_;
  const std::size_t limit = engine_.options.drain_bytes;
  const MonoTime patience = engine_.options.drain_timeout;
  if (request.body_size && *request.body_size - std::min(*request.body_size, request.body_bytes) > limit) return false;
  if (patience.count() <= 0) return request.body_size == request.body_bytes;
  request.draining = true;
  drain_left_ = limit;
  engine_.loop.cancel_timer(wait_timer_);
  wait_timer_ = engine_.loop.set_timer(mono_now() + patience, [this] {
    wait_timer_ = {};
    if (request_ == nullptr) return;
    stop_exchange();
    engine_.drain();
  });
  return true;
}

void Connection::watch_pause() {
  const MonoTime threshold = engine_.options.body_held_threshold;
  if (threshold.count() <= 0 || pause_timer_ != EventLoop::Timer{}) return;
  pause_timer_ = engine_.loop.set_timer(mono_now() + threshold, [this] {
    pause_timer_ = {};
    if (request_ == nullptr || !request_->paused) return;
    engine_.fire<&ClientTrace::body_held>(request_, this, [&] {
      return BodyHeldInfo{.held_ns = static_cast<std::uint64_t>((mono_now() - request_->paused_since).count()),
                          .bytes = request_->body_bytes - request_->kept.size()};
    });
  });
}

void Connection::resume_reading() {
  engine_.loop.cancel_timer(pause_timer_);
  pause_timer_ = {};
  if (request_ == nullptr) return;
  if (request_->paused) {
    watch_pause();
  } else {
    read_more(false);
  }
}

void Connection::read_on() {
  reads_on_later_ = false;
  if (request_ != nullptr) read_more(false);
  send_what_reading_allowed();
}

void Connection::abandon_body() {
  if (request_ == nullptr) return;
  if (begin_drain()) {
    read_more(false);  // the rest may have come while nobody read
  } else {
    stop_exchange();
  }
}

void Connection::take_end() {
  const http::ParseResult parsed = parser_.end_of_stream();
  exchange_.peer_done = true;
  if (parsed.status == http::ParseStatus::complete) {
    finish_exchange(true);
    return;
  }
  if (exchange_.got_byte) {
    fail_exchange(
        make_error(Errc::protocol_error, request_->target->redacted + " (" + parser_.error() + ")", Phase::receive),
        CloseReason::read_error);
    return;
  }
  if (exchange_.write_failed && !may_be_stale()) {
    // Writing took the socket's error off it: what is read now is only an end.
    fail_exchange(system_error(error_number_, "send to " + target->host_port, Phase::send), CloseReason::write_error);
    return;
  }
  // On a connection that had been idle the FIN was most likely on its way already; only the kernel can tell.
  close_inferred_ = may_be_stale();
  fail_exchange(
      make_error(Errc::closed_before_response, request_->target->redacted + alpn_note(" (", ")"), Phase::wait),
      may_be_stale() ? CloseReason::server_closed_idle : CloseReason::read_error);
}

// A server that knows HTTP/2 only may let the handshake pass and hang up, or go on as if h2 had been chosen.
std::string Connection::alpn_note(const char* before, const char* after) const {
  if (!alpn_unanswered_ || requests_ > 1) return {};
  return std::string(before) + "http/1.1 was offered by ALPN, the server chose nothing" + after;
}

void Connection::on_read_error(int error_number) {
  error_number_ = error_number;
  const bool idle_race = may_be_stale() && !exchange_.got_byte && error_number == ECONNRESET;
  close_inferred_ = idle_race;
  const std::string note = exchange_.got_byte ? std::string() : alpn_note(" (", ")");
  fail_exchange(system_error(error_number, "receive from " + target->host_port + note,
                             exchange_.got_byte ? Phase::receive : Phase::wait),
                idle_race ? CloseReason::server_reset_idle : CloseReason::read_error);
}

std::optional<CloseReason> Connection::why_unusable(bool nothing_left) const {
  if (exchange_.tunnel) return CloseReason::handed_over;
  if (exchange_.write_failed) return CloseReason::write_error;
  if (exchange_.body_held || unsent()) return CloseReason::request_not_sent;
  if (exchange_.head.connection_close) return CloseReason::connection_close_request;
  if (!parser_.keep_alive() || request_->response.status == kSwitchingProtocols) {
    return CloseReason::connection_close_response;
  }
  if (!nothing_left) return CloseReason::protocol_error;
  if (exchange_.peer_done) return CloseReason::server_closed_idle;
  return std::nullopt;
}

void Connection::finish_exchange(bool nothing_left) {
  const std::optional<CloseReason> unusable = why_unusable(nothing_left);
  tell_written(unusable == CloseReason::request_not_sent ? "the response came first" : "");
  request_->body_outcome = request_->draining         ? BodyOutcome::drained
                           : request_->body_bytes > 0 ? BodyOutcome::complete
                                                      : BodyOutcome::none;
  const MonoTime now = mono_now();
  tell_body_done({}, now);
  engine_.exchange_done(*this, *release_request(), unusable, now);
}

void Connection::stop_exchange() {
  if (exchange_.interim_error) {
    fail_exchange({exchange_.interim_error, "got_1xx_response hook for " + request_->target->redacted, Phase::wait},
                  CloseReason::request_cancelled);
    return;
  }
  if (exchange_.body_too_large) {
    fail_exchange(make_error(Errc::body_too_large, request_->target->redacted, Phase::receive),
                  CloseReason::body_abandoned);
    return;
  }
  request_->body_outcome = BodyOutcome::abandoned;
  tell_written("the application stopped");
  const MonoTime now = mono_now();
  tell_body_done("abandoned", now);
  engine_.exchange_done(*this, *release_request(),
                        exchange_.tunnel ? CloseReason::handed_over : CloseReason::body_abandoned, now);
}

void Connection::fail_exchange(Error error, CloseReason reason) {
  const std::string message = error.message();
  tell_written(message);
  tell_body_done(message, mono_now());
  const bool nothing_sent = exchange_.sent == 0 && error.code != Errc::body_source_failed;
  const bool before_response = !exchange_.got_byte;
  engine_.exchange_failed(*this, *release_request(), std::move(error), reason, nothing_sent, before_response);
}

void Connection::drop_exchange(const Error& error) {
  if (request_ == nullptr) return;
  const std::string message = error.message();
  tell_written(message);
  tell_body_done(message, mono_now());
  release_request();
}

void Connection::tell_body_done(const std::string& error, MonoTime now) {
  if (!request_->has_head) return;
  engine_.fire<&ClientTrace::body_done>(
      request_, this,
      [&] {
        return BodyDoneInfo{.bytes = request_->body_bytes,
                            .error = error,
                            .held_ns = static_cast<std::uint64_t>(request_->held_until(now).count())};
      },
      now);
}

RequestState* Connection::release_request() {
  engine_.loop.cancel_timer(wait_timer_);
  engine_.loop.cancel_timer(continue_timer_);
  engine_.loop.cancel_timer(pause_timer_);
  wait_timer_ = continue_timer_ = pause_timer_ = {};
  rest_ = {};
  constexpr std::size_t kMostKept = 64;
  constexpr std::size_t kLargestKept = 64 * 1024;
  if (engine_.write_buffers.size() < kMostKept && out_.capacity() <= kLargestKept)
    engine_.write_buffers.push_back(std::move(out_));
  std::string().swap(out_);  // an assignment would keep its memory
  out_at_ = 0;
  return std::exchange(request_, nullptr);
}

}  // namespace conntrace::transport
