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
  constexpr Errc kFinal[] = {Errc::invalid_request,    Errc::cancelled,    Errc::shutdown,
                             Errc::body_source_failed, Errc::rate_limited, Errc::too_many_redirects,
                             Errc::redirect_refused,   Errc::not_built};
  return std::any_of(std::begin(kFinal), std::end(kFinal), [&](Errc code) { return error.code == code; });
}

bool ClientRun::has_body() const { return sends_body_ && (source_ != nullptr || !original_.body.empty()); }

bool ClientRun::can_resend_body() const { return source_ == nullptr || !source_used_ || source_->rewindable(); }

bool ClientRun::plan_redirect(const Response& response) {
  const std::string* location = find_header(response.headers, "location");
  if (options_->max_redirects <= 0 || location == nullptr) return false;
  auto method = redirect_method(response.status, method_, has_body(), can_resend_body());
  if (!method) return false;
  auto url = resolve_location(url_, *location);
  if (!url) {
    Error error = std::move(url).error().within("redirect from " + http::without_password(url_));
    return refuse_redirect(std::move(error), response);
  }
  if (followed_ >= options_->max_redirects) return refuse_redirect(too_many_redirects(followed_, *url), response);
  const bool keeps_body = method->keeps_body && sends_body_;
  const bool carries_secrets = !secrets_dropped_ && may_carry_secrets(original_.url, *url);
  const std::string* own_referer = find_header(original_.headers, "referer");
  next_headers_ = redirected_headers(original_.headers,
                                     {.keeps_body = keeps_body,
                                      .carries_secrets = carries_secrets,
                                      .keeps_host = is_relative(*location),
                                      .referer = referer(url_, *url, own_referer != nullptr ? *own_referer : "")});
  next_method_ = std::move(method->method);
  next_url_ = *std::move(url);
  auto choice = ask_policy(response);
  if (!choice) return refuse_redirect(std::move(choice).error(), response);
  if (*choice == RedirectChoice::use_response) {
    if (!via_.empty()) via_.pop_back();  // it was no hop; a retry asks again
    return false;
  }
  if (*choice == RedirectChoice::fail) {
    const std::string where = http::without_password(url_) + " leads to " + http::without_password(next_url_);
    return refuse_redirect(make_error(Errc::redirect_refused, where), response);
  }
  plan_ = Plan::redirect;
  next_id_ = transport_.reserve_id();
  next_sends_body_ = keeps_body;
  secrets_dropped_ = !carries_secrets;
  const auto target = http::parse_target(next_url_);
  transport_.tell_redirect(
      response.request,
      {.status = response.status, .location = target ? Text(target->redacted) : Text(), .next_request = next_id_});
  return true;
}

Result<RedirectChoice> ClientRun::ask_policy(const Response& response) {
  if (!options_->check_redirect) return RedirectChoice::follow;
  via_.push_back({response.request, method_, url_, std::move(sent_headers_), response.status});
  try {
    return options_->check_redirect({.response = response,
                                     .next_url = next_url_,
                                     .next_method = next_method_,
                                     .next_headers = next_headers_,
                                     .followed = followed_,
                                     .via = via_});
  } catch (...) {  // on its way out it would leave this run without a plan
    return Failure(make_error(Errc::redirect_refused, "check_redirect threw, at " + http::without_password(url_)));
  }
}

bool ClientRun::refuse_redirect(Error error, const Response& response) {
  error.response = std::make_shared<const Response>(response);
  redirect_error_ = std::move(error);
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
    ++followed_;
    headers_ = std::move(next_headers_);
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
