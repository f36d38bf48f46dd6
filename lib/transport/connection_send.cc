// SPDX-License-Identifier: Apache-2.0
// A connection while it carries a request: what goes out.
#include <fmt/format.h>

#include <algorithm>
#include <cerrno>

#include "conntrace/body_source.h"
#include "http/syntax.h"
#include "transport/connection.h"
#include "transport/engine.h"

namespace conntrace::transport {
namespace {

/// A body up to this size goes out with the head in one segment's worth of copying.
constexpr std::size_t kSmallBody = 16 * 1024;
/// What a body source is asked for at a time, and the room for the size line of its chunk before it.
constexpr std::size_t kPiece = 16 * 1024;
constexpr std::size_t kSizeLine = 8;

}  // namespace

void Connection::start_exchange(RequestState& request, MonoTime now) {
  request_ = &request;
  ++requests_;
  exchange_ = {};
  if (!engine_.write_buffers.empty()) {
    out_ = std::move(engine_.write_buffers.back());
    engine_.write_buffers.pop_back();
  }
  out_.clear();
  out_at_ = 0;
  rest_ = {};
  request.enter(Phase::send, now);
  exchange_.asked = http::asked_tunnel(request.request);
  parser_.start({.to_head = request.request.method == "HEAD",
                 .tunnel = exchange_.asked,
                 .max_head_bytes = engine_.options.max_response_header_bytes});
  exchange_.body_to_make = request.request.body_source != nullptr && exchange_.asked == http::Tunnel::none;
  if (exchange_.body_to_make) attach_source();
  http::HeadOptions head{.target = request.target->request_target,
                         .authority = request.target->authority,
                         .user_agent = engine_.options.user_agent,
                         .proxy_authorization = request.target->proxy_authorization,
                         .connection_close = engine_.options.disable_keep_alives};
  if (exchange_.asked == http::Tunnel::connect) {
    const std::string* host = find_header(request.request.headers, "host");
    head.target = host != nullptr ? *host : request.target->host_port;
  }
  if (exchange_.body_to_make) {
    head.streamed = http::StreamedBody{.length = exchange_.body_size, .trailers = request.trailer_names};
  }
  exchange_.head = http::append_head(request.request, head, out_);
  tell_header_fields(now);
  const MonoTime patience = engine_.options.expect_continue_timeout;
  exchange_.body_held = exchange_.head.expects_continue && patience.count() > 0;
  if (!exchange_.body_held) append_body();
  limit_phase(engine_.options.send_timeout, Phase::send, "sending ");
  write_more();
}

void Connection::tell_header_fields(MonoTime at) {
  if (!engine_.hooks.heard<&ClientTrace::wrote_header_field>(request_->request.trace.get())) return;
  // What was serialized is what is told: the head is read back, field by field.
  std::string_view head = out_;
  head.remove_prefix(head.find("\r\n") + 2);
  while (!head.empty()) {
    const std::string_view line = head.substr(0, head.find("\r\n"));
    head.remove_prefix(std::min(line.size() + 2, head.size()));
    const std::size_t colon = line.find(':');
    if (colon == std::string_view::npos) return;  // the blank line
    const Text value = line.substr(std::min(colon + 2, line.size()));
    engine_.fire<&ClientTrace::wrote_header_field>(
        request_, this,
        [&] {
          return WroteHeaderFieldInfo{.key = line.substr(0, colon), .values = {&value, 1}};
        },
        at);
  }
}

void Connection::attach_source() {
  BodySource& source = *request_->request.body_source;
  exchange_.body_size = source.size();
  engine_.hooks.guard([&] {
    source.on_attach([gate = engine_.gate, &engine = engine_, id = request_->id] {
      gate->post([&engine, id] { engine.resume_upload(id); });
    });
  });
}

void Connection::append_body() {
  if (exchange_.body_to_make) return;  // refill() does it
  const std::string& body = request_->request.body;
  if (body.size() <= kSmallBody) {
    out_ += body;
  } else {
    rest_ = body;
  }
}

bool Connection::unsent() const { return out_at_ < out_.size() || !rest_.empty() || exchange_.body_to_make; }

void Connection::begin_tunnel() {
  exchange_.tunnel = true;
  exchange_.body_to_make = request_->request.body_source != nullptr;
  if (!exchange_.body_to_make) return;
  attach_source();
  exchange_.body_size.reset();
}

bool Connection::refill() {
  out_.resize(kSizeLine + kPiece);
  out_at_ = out_.size();
  Result<BodySource::Piece> piece = BodySource::Piece{};
  engine_.hooks.guard([&] {
    piece = Failure(make_error(Errc::body_source_failed, "it threw an exception"));
    piece = request_->request.body_source->read(out_.data() + kSizeLine, kPiece);
  });
  request_->source_was_read = true;
  if (!piece) {
    fail_source(std::move(piece).error());
    return false;
  }
  if (piece->status == BodySource::Status::later) {
    exchange_.source_waits = true;
    out_.clear();
    out_at_ = 0;
    return false;
  }
  const std::size_t bytes = piece->status == BodySource::Status::data ? piece->bytes : 0;
  exchange_.body_made += bytes;
  const auto& size = exchange_.body_size;
  exchange_.body_to_make = bytes > 0 && exchange_.body_made != size;
  if (size && (exchange_.body_made > *size || (bytes == 0 && exchange_.body_made < *size))) {
    fail_source(
        make_error(Errc::body_source_failed, fmt::format("it said {} bytes and gave {}", *size, exchange_.body_made)));
    return false;
  }
  if (bytes == 0 && !size && !exchange_.tunnel) return make_last_chunk();
  out_.resize(kSizeLine + bytes);
  out_at_ = kSizeLine;
  if (exchange_.tunnel && bytes == 0) stream_.end_sending();
  if (size || exchange_.tunnel) return true;
  // RFC 9112 section 7.1
  const std::string line = fmt::format("{:x}\r\n", bytes);
  out_at_ -= line.size();
  out_.replace(out_at_, line.size(), line);
  out_ += "\r\n";
  return true;
}

bool Connection::make_last_chunk() {
  Headers trailers;
  engine_.hooks.guard([&] { trailers = request_->request.body_source->trailers(); });
  Result<void> checked = http::check_trailers(trailers);
  for (const auto& [name, value] : trailers) {
    if (http::lists(request_->trailer_names, name)) continue;
    checked = Failure(make_error(Errc::body_source_failed, "trailer " + name + " was not announced"));
  }
  if (!checked) {
    fail_source(make_error(Errc::body_source_failed, std::move(checked).error().context));
    return false;
  }
  out_.clear();
  out_at_ = 0;
  http::append_last_chunk(trailers, out_);
  return true;
}

void Connection::fail_source(Error error) {
  error.phase = Phase::send;
  fail_exchange(std::move(error).within("request body for " + request_->target->redacted),
                CloseReason::request_not_sent);
}

void Connection::write_more() {
  MonoTime sent_at{};
  for (;;) {
    if (out_at_ == out_.size() && rest_.empty()) {
      if (!exchange_.body_to_make || exchange_.body_held) break;
      if (exchange_.source_waits) return;
      if (!refill()) return;
      continue;
    }
    const bool from_out = out_at_ < out_.size();
    const std::string_view left = from_out ? std::string_view(out_).substr(out_at_) : rest_;
    const IoResult wrote = stream_.send(left.data(), left.size());
    if (wrote.status == IoStatus::again) return;
    if (wrote.status != IoStatus::ok) {
      on_write_error(wrote.error_number);
      return;
    }
    if (from_out) {
      out_at_ += wrote.bytes;
    } else {
      rest_.remove_prefix(wrote.bytes);
    }
    sent_at = mono_now();
    exchange_.sent += wrote.bytes;
    bytes_sent_ += wrote.bytes;
    if (!exchange_.headers_told && exchange_.sent >= exchange_.head.bytes) {
      exchange_.headers_told = true;
      engine_.fire<&ClientTrace::wrote_headers>(
          request_, this, [&] { return WroteHeadersInfo{.bytes = exchange_.head.bytes}; }, sent_at);
    }
  }
  if (exchange_.body_held) {
    wait_for_continue();
  } else if (!exchange_.request_told) {
    on_written(sent_at != MonoTime{} ? sent_at : mono_now());
  }
}

void Connection::resume_upload() {
  exchange_.source_waits = false;
  if (request_ != nullptr && exchange_.body_to_make && !exchange_.body_held) write_more();
}

void Connection::wait_for_continue() {
  if (exchange_.continue_wait_told) return;
  exchange_.continue_wait_told = true;
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

void Connection::send_what_reading_allowed() {
  if (request_ != nullptr && exchange_.continue_came) send_body_now();
  if (request_ != nullptr && exchange_.tunnel && unsent() && !exchange_.source_waits) write_more();
}

void Connection::on_written(MonoTime at) {
  tell_written({}, at);
  if (!exchange_.got_byte) request_->enter(Phase::wait, at);
  if (!request_->has_head)
    limit_phase(engine_.options.response_header_timeout, Phase::wait, "awaiting response head of ");
}

void Connection::limit_phase(MonoTime limit, Phase phase, const char* what) {
  engine_.loop.cancel_timer(wait_timer_);
  wait_timer_ = {};
  if (limit.count() <= 0) return;
  wait_timer_ = engine_.loop.set_timer(mono_now() + limit, [this, phase, what] {
    wait_timer_ = {};
    if (request_ == nullptr) return;
    engine_.fail(*request_, make_error(Errc::timeout, what + request_->target->redacted, phase),
                 CloseReason::request_timeout, QueueOutcome::timeout);
    engine_.drain();
  });
}

void Connection::tell_written(const std::string& error, MonoTime at) {
  if (exchange_.request_told) return;
  exchange_.request_told = true;
  engine_.fire<&ClientTrace::wrote_request>(
      request_, this, [&] { return WroteRequestInfo{.bytes = exchange_.sent, .error = error}; }, at);
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

}  // namespace conntrace::transport
