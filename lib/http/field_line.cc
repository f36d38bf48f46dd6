// SPDX-License-Identifier: Apache-2.0
#include "http/field_line.h"

#include <fmt/format.h>

#include "http/syntax.h"

namespace conntrace::http {
namespace {

/// What is wrong with the name, which ends at `end` by something that is not a colon. Values may be secrets: of the
/// line only the name is shown.
std::string wrong_name(std::string_view line, std::size_t end) {
  const std::string_view name = line.substr(0, end);
  if (end == 0 && (line.front() == ' ' || line.front() == '\t')) {
    return "a header line begins with white space (obsolete line folding)";
  }
  if (end == line.size()) return fmt::format("a header line without a colon: {}", quoted(line));
  if (line[end] == ' ' || line[end] == '\t') {
    const std::size_t next = line.find_first_not_of(" \t", end);
    if (next != std::string_view::npos && line[next] == ':') {
      return fmt::format("white space before the colon of header {}", quoted(name));
    }
  }
  return fmt::format("character {} in a header name after {}", quoted(line.substr(end, 1)), quoted(name));
}

std::string wrong_value(std::string_view name, char c) {
  if (c == '\0') return fmt::format("NUL in the value of header {}", quoted(name));
  if (c == '\r') return fmt::format("a carriage return without line feed in the value of header {}", quoted(name));
  return fmt::format("control character {} in the value of header {}", quoted({&c, 1}), quoted(name));
}

}  // namespace

bool parse_field_line(std::string_view line, FieldLine& field, std::string& error) {
  std::size_t end = 0;
  while (end < line.size() && is_token_char(line[end])) ++end;
  if (end == line.size() || line[end] != ':') {
    error = wrong_name(line, end);
    return false;
  }
  if (end == 0) {
    error = "a header without a name";
    return false;
  }
  field.name = line.substr(0, end);
  field.value = trim(line.substr(end + 1));
  if (const std::size_t control = find_control(field.value); control != std::string_view::npos) {
    error = wrong_value(field.name, field.value[control]);
    return false;
  }
  return true;
}

}  // namespace conntrace::http
