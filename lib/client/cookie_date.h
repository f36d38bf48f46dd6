// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <optional>
#include <string_view>

namespace conntrace::client {

/// A date as servers write them in Expires, in whatever order (RFC 6265 section 5.1.1); nothing: it is not one.
[[nodiscard]] std::optional<std::chrono::sys_seconds> parse_cookie_date(std::string_view text);

}  // namespace conntrace::client
