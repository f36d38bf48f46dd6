// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "conntrace/client.h"
#include "http/body_decoder.h"

namespace conntrace::client {

/// Errors that another attempt would only repeat, or that the application wanted.
[[nodiscard]] bool is_final(const Error& error);

/// One call of Client::send: its request, and those that redirects and retries make of it.
///
///     next() -> [wait for tokens] -> transport -> on_head ( redirect | retry | the response ) -> on_done -> next() or
///     end
///
/// Threading: begin() on any thread, the rest on the transport's.
/// Lifetime:  the callbacks of the request under way, or of the pause, keep it. The transport calls one of them before
///            it ends.
class ClientRun : public std::enable_shared_from_this<ClientRun> {
 public:
  ClientRun(Transport& transport, std::shared_ptr<const ClientOptions> options, Request&& request, Completion&& done);
  RequestId begin();

 private:
  /// What follows the request under way, decided when its head came.
  enum class Plan { none, redirect, retry };

  void next();
  void take_tokens();
  void send_to_transport();
  void pause(std::chrono::nanoseconds delay, void (ClientRun::*then)());
  /// After Transport::run_after: what comes next, or, if the transport has ended, the end.
  void go_on(bool ended, void (ClientRun::*then)());
  void end_pause();
  void cancel_pause();
  [[nodiscard]] Request make_request();

  HeadAction on_head(const Response& response);
  BodyAction on_body(std::string_view piece);
  BodyAction give(std::string_view piece);
  void on_done(Result<Response>&& result);
  /// Makes a response that the transport took for whole what the application gets: decoded, or an error.
  void complete(Result<Response>& result);
  void finish(Result<Response>&& result);

  // client_follow_up.cc
  [[nodiscard]] bool plan_redirect(const Response& response);
  /// What the application's policy says of the planned redirect; without one it is followed.
  [[nodiscard]] Result<RedirectChoice> ask_policy(const Response& response);
  /// The redirect is not followed; the error gets its head.
  bool refuse_redirect(Error error, const Response& response);
  bool plan_retry(const Response* response, const Error* error);
  [[nodiscard]] bool may_repeat() const;
  [[nodiscard]] bool can_resend_body() const;
  [[nodiscard]] bool has_body() const;
  void follow();

  Transport& transport_;
  const std::shared_ptr<const ClientOptions> options_;
  const Request original_;
  const Completion done_;
  std::shared_ptr<BodySource> source_;  ///< original_'s, closed at the end only
  const MonoTime deadline_;             ///< MonoTime::max(): none

  // The request under way.
  std::string method_;
  std::string url_;
  Headers headers_;
  Headers sent_headers_;  ///< with cookies and Accept-Encoding; kept for check_redirect alone
  bool sends_body_ = true;
  bool source_used_ = false;
  std::optional<RequestId> redirected_from_;
  std::optional<RequestId> retry_of_;
  RequestId id_ = 0;
  bool shown_ = false;  ///< the application has seen a head
  std::unique_ptr<http::BodyDecoder> decoder_;
  std::string coded_;  ///< arrived while the application paused
  std::string body_;
  std::optional<Error> body_error_;
  bool stopped_ = false;  ///< the application gave the body up

  // What follows it.
  Plan plan_ = Plan::none;
  RequestId next_id_ = 0;
  std::chrono::nanoseconds retry_delay_{};
  std::string next_method_;
  std::string next_url_;
  bool next_sends_body_ = false;
  Headers next_headers_;
  std::vector<RedirectHop> via_;  ///< kept for check_redirect alone
  std::optional<Error> redirect_error_;
  int followed_ = 0;
  bool secrets_dropped_ = false;
  RetryState retries_;
  std::vector<RateLimiter::Reservation> tokens_;

  // A pause, for tokens or before a retry.
  std::uint64_t pause_ = 0;
  std::unique_ptr<std::stop_callback<std::function<void()>>> on_stop_;
};

}  // namespace conntrace::client
