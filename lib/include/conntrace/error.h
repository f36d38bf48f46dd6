// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <memory>
#include <string>
#include <system_error>
#include <tl/expected.hpp>
#include <utility>
#include <vector>

#include "conntrace/reasons.h"

namespace conntrace {

struct Response;

/// Failures that neither errno nor libcurl has a code for.
enum class Errc {
  ok = 0,
  invalid_request,         ///< the request cannot be sent as it is (URL, method, header)
  name_not_resolved,       ///< getaddrinfo found no address; the context has its words
  cancelled,               ///< the application cancelled it
  timeout,                 ///< a deadline passed; the phase says where
  closed_before_response,  ///< the connection ended before the first byte of a response
  protocol_error,          ///< the peer's bytes were not HTTP
  header_too_large,        ///< the response head exceeded max_response_header_bytes
  body_too_large,          ///< the response body exceeded max_response_body_bytes
  queue_full,              ///< too many requests or jobs wait already
  shutdown,                ///< the transport ended
  bad_record,              ///< not an event record
  newer_schema,            ///< a record of a schema that this version does not know
  not_built,               ///< this build has not the part that is needed
  content_corrupt,         ///< the body does not decode; the context names the coding
  content_truncated,       ///< the coded body ended too early
  too_many_redirects,      ///< the chain of redirects exceeded its limit
  exceeds_burst,           ///< more was asked for at once than a rate limiter's burst holds
  rate_limited,            ///< the rate limit would allow it only after the deadline
  body_source_failed,      ///< Request::body_source broke its promise; the context says how
  acquire_timeout,         ///< no connection could be had within acquire_timeout
  proxy_refused,           ///< the proxy did not make the way to the target; the context has its status
  not_tls,                 ///< the server gave an HTTP response to an HTTPS client
  not_http1,               ///< the server refused HTTP/1.1 by ALPN, chose something else, or spoke HTTP/2
  redirect_refused,        ///< ClientOptions::check_redirect said fail
  dial_function_failed,    ///< TransportOptions::dial threw or broke its promise; the context says how
};

[[nodiscard]] const std::error_category& conntrace_category() noexcept;
[[nodiscard]] std::error_code make_error_code(Errc code) noexcept;
/// CURLcode as an error_code; for what libcurl's dials return.
[[nodiscard]] const std::error_category& curl_category() noexcept;

/// How long a request was in a phase.
struct PhaseTime {
  Phase phase = Phase::none;
  std::chrono::nanoseconds time{};
  friend bool operator==(const PhaseTime&, const PhaseTime&) = default;
};

/// What failed, where, and what it was about. Context grows on the way up, outermost first.
///
/// Threading: a value. Errors: `code` is of the system, curl or conntrace category.
struct Error {
  std::error_code code;
  std::string context;
  Phase phase = Phase::none;
  /// False: trying again cannot help, a RetryPolicy must not (see unrecoverable()).
  bool recoverable = true;
  /// Of a request: where its time went until it failed, in the order of the phases; those that took none are left out.
  std::vector<PhaseTime> spent = {};
  /// Of a redirect that was not followed (too_many_redirects, redirect_refused, a bad Location): its status, headers
  /// and numbers, without the body. Otherwise nothing.
  std::shared_ptr<const Response> response = {};

  /// "context: message", one line, for people. Says the same of the same failure, so that logs can be grouped by it.
  [[nodiscard]] std::string message() const;
  /// message(), the phase that failed and the times spent: "…: timed out (in wait; blocked 1.2 ms, wait 5000.0 ms)".
  [[nodiscard]] std::string with_times() const;
  /// The same error seen from one level up.
  [[nodiscard]] Error within(std::string_view outer) &&;
};

[[nodiscard]] Error make_error(Errc code, std::string context, Phase phase = Phase::none);
/// From errno (or a value like it).
[[nodiscard]] Error system_error(int error_number, std::string context, Phase phase = Phase::none);

/// The same error, marked as one that trying again does not mend.
[[nodiscard]] Error unrecoverable(Error error);

/// A value or an Error. Aliased so that std::expected can take its place.
template <class T>
using Result = tl::expected<T, Error>;
using Failure = tl::unexpected<Error>;

}  // namespace conntrace

template <>
struct std::is_error_code_enum<conntrace::Errc> : std::true_type {};
