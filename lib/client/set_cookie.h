// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <string_view>

#include "conntrace/cookie_jar.h"

namespace conntrace::client {

/// A Set-Cookie field, read but not judged.
struct SetCookie {
  std::string name;
  std::string value;
  std::string domain;  ///< lower case, without a leading dot; empty: none was given
  std::string path;    ///< empty: none was given, or none that begins with /
  bool secure = false;
  bool http_only = false;
  SameSite same_site = SameSite::unset;
  /// By Max-Age if there is one, else by Expires; at most 400 days from now. In the past: the cookie is to be removed.
  std::optional<std::chrono::sys_seconds> expires;
};

/// Nothing: the field is to be ignored (control characters, no name and no value, more than 4096 bytes).
/// Source: RFC 6265bis section 5.6.
[[nodiscard]] std::optional<SetCookie> parse_set_cookie(std::string_view field, std::chrono::sys_seconds now);

}  // namespace conntrace::client
