// SPDX-License-Identifier: Apache-2.0
// One request of the application: the redirects and retries that its responses and failures lead to.
#include <algorithm>

#include "client/client_run.h"
#include "client/redirect_rules.h"
#include "conntrace/body_source.h"
#include "http/replayable.h"
#include "http/target.h"

namespace conntrace::client {

bool is_final(const Error& error) {
  constexpr Errc kFinal[] = {Errc::invalid_request, Errc::cancelled,          Errc::shutdown, Errc::body_source_failed,
                             Errc::rate_limited,    Errc::too_many_redirects, Errc::not_built};
  return std::any_of(std::begin(kFinal), std::end(kFinal), [&](Errc code) { return error.code == code; });
}

bool ClientRun::has_body() const { return sends_body_ && (source_ != nullptr || !original_.body.empty()); }

bool ClientRun::can_resend_body() const { return source_ == nullptr || !source_used_ || source_->rewindable(); }

bool ClientRun::plan_redirect(const Response& response) {
  const std::string* location = find_header(response.headers, "location");
  if (options_->max_redirects <= 0 || location == nullptr) return false;
  auto method = redirect_method(response.status, method_, has_body(), can_resend_body());
  if (!method) return false;
  const auto url = resolve_location(url_, *location);
  if (!url) {
    redirect_error_ = Error(url.error()).within("redirect from " + http::without_password(url_));
    return true;
  }
  if (followed_ >= options_->max_redirects) {
    redirect_error_ = too_many_redirects(followed_, *url);
    return true;
  }
  if (options_->check_redirect) {
    const RedirectStep step{
        .response = response, .next_url = *url, .next_method = method->method, .followed = followed_};
    switch (options_->check_redirect(step)) {
      case RedirectChoice::follow: break;
      case RedirectChoice::use_response: return false;
      case RedirectChoice::fail: redirect_error_ = too_many_redirects(followed_, *url); return true;
    }
  }
  plan_ = Plan::redirect;
  next_id_ = transport_.reserve_id();
  next_method_ = std::move(method->method);
  next_sends_body_ = method->keeps_body && sends_body_;
  next_url_ = *url;
  next_keeps_host_ = is_relative(*location);
  const auto target = http::parse_target(next_url_);
  transport_.tell_redirect(
      response.request,
      {.status = response.status, .location = target ? Text(target->redacted) : Text(), .next_request = next_id_});
  return true;
}

bool ClientRun::may_repeat() const {
  const Request as_sent{.method = method_, .headers = headers_};
  return (options_->retry_non_idempotent || http::is_replayable(as_sent)) && (!has_body() || can_resend_body());
}

bool ClientRun::plan_retry(const Response* response, const Error* error) {
  if (options_->retry == nullptr || !may_repeat()) return false;
  if (error != nullptr && is_final(*error)) return false;
  FailedAttempt failed{.error = error};
  if (response != nullptr) {
    const std::vector<int>& statuses = options_->retry->options().statuses;
    if (!options_->retry->options().retry_if &&
        std::find(statuses.begin(), statuses.end(), response->status) == statuses.end())
      return false;
    failed.status = response->status;
    if (const std::string* after = find_header(response->headers, "retry-after"))
      failed.retry_after = parse_retry_after(*after, clock_pair_now().wall);
  }
  const RetryDecision decision = options_->retry->next(retries_, failed);
  if (!decision.delay) return false;
  if (deadline_ != MonoTime::max() && *decision.delay >= deadline_ - mono_now()) return false;
  plan_ = Plan::retry;
  next_id_ = transport_.reserve_id();
  retry_delay_ = *decision.delay;
  return true;
}

void ClientRun::follow() {
  retry_of_.reset();
  redirected_from_.reset();
  (plan_ == Plan::retry ? retry_of_ : redirected_from_) = id_;
  id_ = next_id_;
  std::chrono::nanoseconds delay{};
  if (plan_ == Plan::retry) {
    delay = retry_delay_;
  } else {
    secrets_dropped_ = secrets_dropped_ || !may_carry_secrets(original_.url, next_url_);
    const std::string* own_referer = find_header(original_.headers, "referer");
    headers_ = redirected_headers(original_.headers,
                                  {.keeps_body = next_sends_body_,
                                   .carries_secrets = !secrets_dropped_,
                                   .keeps_host = next_keeps_host_,
                                   .referer = referer(url_, next_url_, own_referer != nullptr ? *own_referer : "")});
    ++followed_;
    method_ = std::move(next_method_);
    url_ = std::move(next_url_);
    sends_body_ = next_sends_body_;
  }
  if (sends_body_ && source_used_ && !source_->rewind()) {
    finish(Failure(make_error(Errc::body_source_failed,
                              "the body cannot be sent again to " + http::without_password(url_), Phase::send)));
    return;
  }
  if (delay.count() > 0) {
    pause(delay, &ClientRun::next);
  } else {
    next();
  }
}

}  // namespace conntrace::client
