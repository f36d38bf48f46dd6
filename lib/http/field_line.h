// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>

namespace conntrace::http {

/// One line of a field section (RFC 9112 section 5).
struct FieldLine {
  std::string_view name;
  std::string_view value;  ///< without white space around it
};

/// Takes a line without its CRLF apart. False: `error` says what is wrong with it. Refused are, though RFC 9112 lets a
/// user agent repair some: white space before the colon, folded lines, control characters, names that are no tokens.
[[nodiscard]] bool parse_field_line(std::string_view line, FieldLine& field, std::string& error);

}  // namespace conntrace::http
