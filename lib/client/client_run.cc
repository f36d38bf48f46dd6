// SPDX-License-Identifier: Apache-2.0
// One request of the application: sending, and what its response passes through.
#include "client/client_run.h"

#include <algorithm>

#include "client/kept_sources.h"
#include "http/target.h"

namespace conntrace::client {
namespace {

/// A larger body is not copied for each request that carries it.
constexpr std::size_t kCopiedBody = 16 * 1024;

MonoTime deadline_of(const Request& request, const ClientOptions& options) {
  const std::chrono::nanoseconds timeout = request.timeout.value_or(options.timeout);
  return request.timeout || timeout.count() > 0 ? mono_now() + timeout : MonoTime::max();
}

Error cancelled(const std::string& url, Phase phase) {
  return make_error(Errc::cancelled, http::without_password(url), phase);
}

}  // namespace

ClientRun::ClientRun(Transport& transport, std::shared_ptr<const ClientOptions> options, Request&& request,
                     Completion&& done)
    : transport_(transport),
      options_(std::move(options)),
      original_(std::move(request)),
      done_(std::move(done)),
      source_(original_.body_source),
      deadline_(deadline_of(original_, *options_)),
      method_(original_.method),
      url_(original_.url),
      headers_(original_.headers) {
  if (source_ == nullptr && original_.body.size() > kCopiedBody)
    source_ = std::make_shared<StringSource>(original_.body);
}

RequestId ClientRun::begin() {
  const RequestId first = id_ = transport_.reserve_id();
  if (options_->rate_limiter == nullptr && options_->rate_limiter_per_host == nullptr) {
    send_to_transport();
  } else {
    // Waiting for tokens, like all that follows, happens on the transport's thread only.
    transport_.run_after({}, [self = shared_from_this()](bool ended) { self->go_on(ended, &ClientRun::next); });
  }
  return first;
}

void ClientRun::next() {
  shown_ = false;
  plan_ = Plan::none;
  decoder_.reset();
  coded_.clear();
  body_.clear();
  body_error_.reset();
  take_tokens();
}

void ClientRun::take_tokens() {
  std::vector<std::shared_ptr<RateLimiter>> limiters;
  if (options_->rate_limiter != nullptr) limiters.push_back(options_->rate_limiter);
  if (options_->rate_limiter_per_host != nullptr) {
    const auto target = http::parse_target(url_);  // the transport says what is wrong with it
    if (target) limiters.push_back(options_->rate_limiter_per_host->get(target->host_port));
  }
  tokens_.clear();
  std::chrono::nanoseconds delay{};
  const MonoTime patience = deadline_ == MonoTime::max() ? deadline_ : deadline_ - mono_now();
  for (const auto& limiter : limiters) {
    RateLimiter::Reservation token = limiter->reserve(1, patience);
    if (!token.ok()) {
      for (auto& taken : tokens_) taken.cancel();
      const Errc why = limiter->limit().burst < 1 ? Errc::exceeds_burst : Errc::rate_limited;
      finish(Failure(make_error(why, http::without_password(url_), Phase::blocked)));
      return;
    }
    delay = std::max(delay, token.delay());
    tokens_.push_back(std::move(token));
  }
  if (delay.count() > 0) {
    pause(delay, &ClientRun::send_to_transport);
  } else {
    send_to_transport();
  }
}

void ClientRun::pause(std::chrono::nanoseconds delay, void (ClientRun::*then)()) {
  pause_ = transport_.run_after(delay, [self = shared_from_this(), then](bool ended) {
    if (self->pause_ == 0) return;  // cancelled, but too late to be taken back
    self->end_pause();
    self->go_on(ended, then);
  });
  if (!original_.stop.stop_possible()) return;
  on_stop_ = std::make_unique<std::stop_callback<std::function<void()>>>(original_.stop, [self = shared_from_this()] {
    self->transport_.run_after({}, [self](bool) { self->cancel_pause(); });
  });
}

void ClientRun::go_on(bool ended, void (ClientRun::*then)()) {
  if (ended) {
    finish(Failure(make_error(Errc::shutdown, http::without_password(url_), Phase::blocked)));
  } else {
    (this->*then)();
  }
}

void ClientRun::end_pause() {
  pause_ = 0;
  on_stop_.reset();
}

void ClientRun::cancel_pause() {
  if (pause_ == 0) return;
  transport_.cancel_delayed(pause_);
  end_pause();
  for (auto& token : tokens_) token.cancel();
  finish(Failure(cancelled(url_, Phase::blocked)));
}

Request ClientRun::make_request() {
  Request request{.method = method_, .url = url_, .headers = headers_};
  if (sends_body_) {
    if (source_ != nullptr) {
      request.body_source = std::make_shared<KeptOpen>(source_);
      source_used_ = true;
    } else {
      request.body = original_.body;
    }
  }
  if (options_->cookie_jar != nullptr) {
    if (const std::string cookies = options_->cookie_jar->cookies_for(url_); !cookies.empty()) {
      const auto own = std::find_if(request.headers.begin(), request.headers.end(),
                                    [](const auto& field) { return field.first == "Cookie"; });
      if (own != request.headers.end()) {
        own->second += "; " + cookies;
      } else {
        request.headers.emplace_back("Cookie", cookies);
      }
    }
  }
  const bool decodes = !options_->disable_compression && http::wants_decoding(request);
  if (decodes) request.headers.emplace_back("Accept-Encoding", http::kAcceptEncoding);
  if (deadline_ != MonoTime::max()) request.timeout = std::max(MonoTime{}, deadline_ - mono_now());
  if (options_->check_redirect) sent_headers_ = request.headers;
  request.stop = original_.stop;
  request.trace = original_.trace;
  request.redirected_from = redirected_from_;
  request.retry_of = retry_of_;
  // The completion, which comes last, keeps this run for them.
  request.on_head = [this](const Response& head) { return on_head(head); };
  if (decodes || original_.on_body) request.on_body = [this](std::string_view piece) { return on_body(piece); };
  return request;
}

void ClientRun::send_to_transport() {
  transport_.send(
      make_request(), [self = shared_from_this()](Result<Response> result) { self->on_done(std::move(result)); }, id_);
}

HeadAction ClientRun::on_head(const Response& response) {
  if (options_->cookie_jar != nullptr) options_->cookie_jar->set_cookies(url_, response.headers);
  if (plan_redirect(response) || plan_retry(&response, nullptr)) return HeadAction::discard;
  if (!options_->disable_compression && find_header(headers_, "accept-encoding") == nullptr) {
    const auto codings = http::codings_of(response.headers);
    if (codings && !codings->empty() && method_ != "HEAD" && find_header(headers_, "range") == nullptr) {
      decoder_ =
          std::make_unique<http::BodyDecoder>(*codings, http::DecodeLimits{.max_bytes = options_->max_decoded_bytes});
    }
  }
  shown_ = true;
  if (!original_.on_head) return HeadAction::take;
  if (!decoder_) return original_.on_head(response);
  Response decoded = response;
  http::drop_coding_fields(decoded.headers);
  decoded.uncompressed = true;
  return original_.on_head(decoded);
}

BodyAction ClientRun::on_body(std::string_view piece) {
  if (!decoder_) return give(piece);
  std::string joined;
  if (!coded_.empty()) {
    joined = std::exchange(coded_, {});
    joined += piece;
    piece = joined;
  }
  for (;;) {
    const Result<std::string_view> decoded = decoder_->next(piece);
    if (!decoded) {
      body_error_ = decoded.error();
      return BodyAction::stop;
    }
    if (decoded->empty()) return BodyAction::go_on;
    const BodyAction action = give(*decoded);
    if (action == BodyAction::go_on) continue;
    if (action == BodyAction::pause) coded_ = piece;
    return action;
  }
}

BodyAction ClientRun::give(std::string_view piece) {
  if (!original_.on_body) {
    const std::size_t limit = transport_.options().max_response_body_bytes;
    if (limit != 0 && piece.size() > limit - body_.size()) {
      body_error_ = make_error(Errc::body_too_large, "more than " + std::to_string(limit) + " bytes");
      return BodyAction::stop;
    }
    body_ += piece;
    return BodyAction::go_on;
  }
  const BodyAction action = original_.on_body(piece);
  stopped_ = action == BodyAction::stop;
  return action;
}

void ClientRun::on_done(Result<Response>&& result) {
  if (plan_ == Plan::none && !result && !shown_ && !redirect_error_) plan_retry(nullptr, &result.error());
  // A body that could not be thrown away to its end takes its connection with it, and nothing else.
  const bool over = !result && (is_final(result.error()) || mono_now() >= deadline_);
  if (plan_ != Plan::none && !over) {
    follow();
    return;
  }
  if (redirect_error_) result = Failure(*std::move(redirect_error_));
  if (result) complete(result);
  finish(std::move(result));
}

void ClientRun::complete(Result<Response>& result) {
  Result<void> ended;
  if (body_error_) {
    ended = Failure(*std::move(body_error_));
  } else if (decoder_ && decoder_->bytes_in() > 0 && !stopped_) {
    ended = decoder_->finish();
  }
  if (!ended) {
    Error error = std::move(ended).error().within(http::without_password(url_));
    error.phase = Phase::receive;
    result = Failure(std::move(error));
    return;
  }
  if (decoder_) {
    http::drop_coding_fields(result->headers);
    result->uncompressed = true;
  }
  if (!original_.on_body && result->body.empty()) result->body = std::move(body_);
}

void ClientRun::finish(Result<Response>&& result) {
  if (source_ != nullptr) source_->close();
  if (done_) done_(std::move(result));
}

}  // namespace conntrace::client
