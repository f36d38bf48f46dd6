// SPDX-License-Identifier: Apache-2.0
// A connection while it carries a request.
#include <cerrno>

#include "transport/connection.h"
#include "transport/engine.h"

namespace conntrace::transport {
namespace {

/// A body up to this size goes out with the head in one segment's worth of copying.
constexpr std::size_t kSmallBody = 16 * 1024;
constexpr int kSwitchingProtocols = 101;

}  // namespace

void Connection::start_exchange(RequestState& request) {
  request_ = &request;
  ++requests_;
  exchange_ = {};
  out_.clear();
  rest_ = {};
  request.phase = Phase::send;
  parser_.start(
      {.to_head = request.request.method == "HEAD", .max_head_bytes = engine_.options.max_response_header_bytes});
  exchange_.head = http::append_head(request.request,
                                     {.target = request.target->request_target,
                                      .authority = request.target->authority,
                                      .user_agent = engine_.options.user_agent,
                                      .proxy_authorization = request.target->proxy_authorization,
                                      .connection_close = engine_.options.disable_keep_alives},
                                     out_);
  tell_header_fields();
  const MonoTime patience = engine_.options.expect_continue_timeout;
  exchange_.body_held = exchange_.head.expects_continue && patience.count() > 0;
  if (!exchange_.body_held) append_body();
  write_more();
}

void Connection::tell_header_fields() {
  // What was serialized is what is told: the head is read back, field by field.
  std::string_view text = out_;
  text.remove_prefix(text.find("\r\n") + 2);
  engine_.fire_each_header_field(*request_, *this, text);
}

void Connection::append_body() {
  const std::string& body = request_->request.body;
  if (body.size() <= kSmallBody) {
    out_ += body;
  } else {
    rest_ = body;
  }
}

std::size_t Connection::unsent() const { return out_.size() + rest_.size() - exchange_.sent; }

void Connection::write_more() {
  while (unsent() > 0) {
    const std::size_t sent = exchange_.sent;
    const std::string_view left =
        sent < out_.size() ? std::string_view(out_).substr(sent) : rest_.substr(sent - out_.size());
    const IoResult wrote = stream_.send(left.data(), left.size());
    if (wrote.status == IoStatus::again) return;
    if (wrote.status != IoStatus::ok) {
      on_write_error(wrote.error_number);
      return;
    }
    exchange_.sent += wrote.bytes;
    bytes_sent_ += wrote.bytes;
    if (!exchange_.headers_told && exchange_.sent >= exchange_.head.bytes) {
      exchange_.headers_told = true;
      engine_.fire<&ClientTrace::wrote_headers>(request_, this,
                                                [&] { return WroteHeadersInfo{.bytes = exchange_.head.bytes}; });
    }
  }
  if (exchange_.body_held) {
    wait_for_continue();
  } else if (!exchange_.request_told) {
    on_written();
  }
}

void Connection::wait_for_continue() {
  engine_.fire<&ClientTrace::wait_100_continue>(request_, this, [] { return Wait100ContinueInfo{}; });
  continue_timer_ = engine_.loop.set_timer(mono_now() + engine_.options.expect_continue_timeout, [this] {
    continue_timer_ = {};
    send_body_now();
    engine_.drain();
  });
}

void Connection::send_body_now() {
  if (request_ == nullptr || !exchange_.body_held) return;
  engine_.loop.cancel_timer(continue_timer_);
  continue_timer_ = {};
  exchange_.body_held = false;
  append_body();
  write_more();
}

void Connection::on_written() {
  tell_written({});
  request_->phase = Phase::wait;
  const MonoTime limit = engine_.options.response_header_timeout;
  if (limit.count() <= 0 || request_->has_head) return;
  wait_timer_ = engine_.loop.set_timer(mono_now() + limit, [this] {
    wait_timer_ = {};
    if (request_ == nullptr) return;
    engine_.fail(*request_,
                 make_error(Errc::timeout, "awaiting response head of " + request_->target->redacted, Phase::wait),
                 CloseReason::request_timeout, QueueOutcome::timeout);
    engine_.drain();
  });
}

void Connection::tell_written(const std::string& error) {
  if (exchange_.request_told) return;
  exchange_.request_told = true;
  engine_.fire<&ClientTrace::wrote_request>(request_, this,
                                            [&] { return WroteRequestInfo{.bytes = exchange_.sent, .error = error}; });
}

void Connection::on_write_error(int error_number) {
  error_number_ = error_number;
  const Error error = system_error(error_number, "send to " + target->host_port, Phase::send);
  tell_written(error.message());
  exchange_.write_failed = true;
  // The server may have answered before it stopped reading: its answer is worth more than our error.
  read_more(true);
  if (request_ != nullptr) fail_exchange(error, CloseReason::write_error);
}

void Connection::read_more(bool peer_done) {
  exchange_.peer_done = exchange_.peer_done || peer_done;
  std::string& buffer = engine_.read_buffer;
  for (;;) {
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
    request_->phase = Phase::receive;
    engine_.fire<&ClientTrace::got_first_response_byte>(request_, this, [] { return GotFirstResponseByteInfo{}; });
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
  }
  return false;
}

bool Connection::on_head(http::ResponseHead head) {
  if (head.status / 100 == 1 && head.status != kSwitchingProtocols) return on_interim(head.status);
  engine_.loop.cancel_timer(wait_timer_);
  wait_timer_ = {};
  request_->has_head = true;
  request_->response.status = head.status;
  request_->response.reason = std::move(head.reason);
  request_->response.headers = std::move(head.headers);
  engine_.fire<&ClientTrace::response_head>(request_, this, [&] {
    return ResponseHeadInfo{.status = head.status,
                            .protocol = head.minor_version == 0 ? "http/1.0" : "http/1.1",
                            .content_length = head.content_length,
                            .keep_alive = head.keep_alive};
  });
  return true;
}

bool Connection::on_interim(int status) {
  if (status == 100 && exchange_.body_held) {
    engine_.fire<&ClientTrace::got_100_continue>(request_, this, [] { return Got100ContinueInfo{}; });
  }
  exchange_.interim_error = engine_.fire_interim(*request_, *this, status);
  if (exchange_.interim_error) return false;
  if (status == 100) exchange_.continue_came = true;
  return true;
}

bool Connection::on_body(std::string_view piece) {
  request_->body_bytes += piece.size();
  if (request_->request.on_body) {
    bool more = false;
    engine_.hooks.guard([&] { more = request_->request.on_body(piece); });
    return more;
  }
  const std::size_t limit = engine_.options.max_response_body_bytes;
  if (limit != 0 && request_->body_bytes > limit) {
    exchange_.body_too_large = true;
    return false;
  }
  request_->response.body += piece;
  return true;
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
  // On a connection that had been idle the FIN was most likely on its way already; only the kernel can tell.
  close_inferred_ = reused();
  fail_exchange(make_error(Errc::closed_before_response, request_->target->redacted, Phase::wait),
                reused() ? CloseReason::server_closed_idle : CloseReason::read_error);
}

void Connection::on_read_error(int error_number) {
  error_number_ = error_number;
  const bool idle_race = reused() && !exchange_.got_byte && error_number == ECONNRESET;
  close_inferred_ = idle_race;
  fail_exchange(system_error(error_number, "receive from " + target->host_port,
                             exchange_.got_byte ? Phase::receive : Phase::wait),
                idle_race ? CloseReason::server_reset_idle : CloseReason::read_error);
}

std::optional<CloseReason> Connection::why_unusable(bool nothing_left) const {
  if (exchange_.write_failed) return CloseReason::write_error;
  if (exchange_.body_held || unsent() > 0) return CloseReason::request_not_sent;
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
  request_->body_outcome = request_->body_bytes > 0 ? BodyOutcome::complete : BodyOutcome::none;
  tell_body_done({});
  engine_.exchange_done(*this, *release_request(), unusable);
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
  tell_body_done("abandoned");
  engine_.exchange_done(*this, *release_request(), CloseReason::body_abandoned);
}

void Connection::fail_exchange(Error error, CloseReason reason) {
  const std::string message = error.message();
  tell_written(message);
  tell_body_done(message);
  const bool nothing_sent = exchange_.sent == 0;
  const bool before_response = !exchange_.got_byte;
  engine_.exchange_failed(*this, *release_request(), std::move(error), reason, nothing_sent, before_response);
}

void Connection::drop_exchange(const Error& error) {
  if (request_ == nullptr) return;
  const std::string message = error.message();
  tell_written(message);
  tell_body_done(message);
  release_request();
}

void Connection::tell_body_done(const std::string& error) {
  if (!request_->has_head) return;
  engine_.fire<&ClientTrace::body_done>(request_, this,
                                        [&] { return BodyDoneInfo{.bytes = request_->body_bytes, .error = error}; });
}

RequestState* Connection::release_request() {
  engine_.loop.cancel_timer(wait_timer_);
  engine_.loop.cancel_timer(continue_timer_);
  wait_timer_ = continue_timer_ = {};
  rest_ = {};
  return std::exchange(request_, nullptr);
}

}  // namespace conntrace::transport
