// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "conntrace/error.h"
#include "conntrace/request.h"

/// What a redirect makes of a request. Source: Go 1.22's http.Client, where not said otherwise; RFC 9110 section 15.4.
/// Pure: no state but the arguments.
namespace conntrace::client {

/// Redirects that are followed for one request when no policy says otherwise.
inline constexpr int kMaxRedirects = 10;

struct RedirectMethod {
  std::string method;
  bool keeps_body = false;
};

/// The method of the next request; nothing: the response is handed over as it is. 301, 302 and 303 make a GET (HEAD
/// stays HEAD) without the body; 307 and 308 repeat the request, which needs no body or one that can be sent again.
[[nodiscard]] std::optional<RedirectMethod> redirect_method(int status, std::string_view method, bool has_body,
                                                            bool can_resend_body);

/// The URL that a Location means (RFC 3986 section 5); without a fragment it inherits the base's (RFC 9110 section
/// 10.2.2). Errors: invalid_request with the Location, its password hidden, if it is not an http or https URL.
[[nodiscard]] Result<std::string> resolve_location(const std::string& base, const std::string& location);

/// Relative to the base: then a Host field that the application chose is kept.
[[nodiscard]] bool is_relative(std::string_view location);

/// The Referer of the next request, without credentials and fragment; empty: none, from https to http. One that the
/// application set is kept.
[[nodiscard]] std::string referer(const std::string& last_url, const std::string& next_url,
                                  std::string_view explicit_one);

/// Whether Authorization, Cookie and the like may go from the first request of a chain to a later one: to the same host
/// or a subdomain of it, names compared in ASCII. Once they were dropped they stay dropped (Go since 1.23.5).
[[nodiscard]] bool may_carry_secrets(const std::string& first_url, const std::string& next_url);

struct RedirectedFields {
  bool keeps_body = false;
  bool carries_secrets = false;
  bool keeps_host = false;
  std::string referer;
};

/// The fields of the next request from those of the first. Without the body go the fields that describe it (as fetch
/// does; Go keeps them).
[[nodiscard]] Headers redirected_headers(const Headers& first, const RedirectedFields& rules);

/// "stopped after 10 redirects"
[[nodiscard]] Error too_many_redirects(int followed, const std::string& url);

}  // namespace conntrace::client
