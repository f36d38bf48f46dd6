// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <optional>
#include <string_view>

namespace conntrace {

/// An HTTP-date as time since the Unix epoch; nothing if it is none of the three forms of RFC 9110 section 5.6.7
/// (Sun, 06 Nov 1994 08:49:37 GMT; Sunday, 06-Nov-94 08:49:37 GMT; Sun Nov  6 08:49:37 1994). `wall_now` places the
/// two-digit year: at most 50 years ahead, less than 50 ago. Whether the name of the day fits the date is not looked
/// at.
[[nodiscard]] std::optional<std::chrono::seconds> parse_http_date(std::string_view text,
                                                                  std::chrono::nanoseconds wall_now);

}  // namespace conntrace
