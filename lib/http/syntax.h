// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstddef>
#include <string>
#include <string_view>

/// Words and characters of HTTP, shared by all who read or write it.
namespace conntrace::http {

/// tchar of RFC 9110 section 5.6.2, by byte. Here so that it is inlined: all head bytes pass it.
inline constexpr std::array<bool, 256> kTokenChars = [] {
  std::array<bool, 256> table{};
  for (std::size_t c = '0'; c <= '9'; ++c) table[c] = true;
  for (std::size_t c = 'a'; c <= 'z'; ++c) table[c] = true;
  for (std::size_t c = 'A'; c <= 'Z'; ++c) table[c] = true;
  for (const char c : std::string_view("!#$%&'*+-.^_`|~")) table[static_cast<unsigned char>(c)] = true;
  return table;
}();
[[nodiscard]] inline bool is_token_char(char c) { return kTokenChars[static_cast<unsigned char>(c)]; }
[[nodiscard]] bool is_token(std::string_view text);
/// The first character that a field value must not contain (controls but tab; RFC 9110 section 5.5), or npos.
[[nodiscard]] std::size_t find_control(std::string_view text);
/// The same of two texts of one length.
[[nodiscard]] bool same_but_for_case(std::string_view left, std::string_view right);
/// Equal but for the case of ASCII letters. Here so that it is inlined: most names differ in length.
[[nodiscard]] inline bool iequals(std::string_view left, std::string_view right) {
  return left.size() == right.size() && same_but_for_case(left, right);
}
/// Without spaces and tabs at both ends.
[[nodiscard]] inline std::string_view trim(std::string_view text) {
  const auto blank = [](char c) { return c == ' ' || c == '\t'; };
  while (!text.empty() && blank(text.front())) text.remove_prefix(1);
  while (!text.empty() && blank(text.back())) text.remove_suffix(1);
  return text;
}
/// In double quotes, shortened, each unprintable byte as \xNN: for error messages about a peer's bytes.
[[nodiscard]] std::string quoted(std::string_view text);
[[nodiscard]] std::string lower_case(std::string_view text);

/// Calls `each` with each part between `separator`s, trimmed; with an empty one, too.
template <class Each>
void split(std::string_view text, char separator, Each&& each) {
  for (;;) {
    const std::size_t end = text.find(separator);
    each(trim(text.substr(0, end)));
    if (end == std::string_view::npos) return;
    text.remove_prefix(end + 1);
  }
}

/// Whether a list (RFC 9110 section 5.6.1) has this element, without regard to case.
[[nodiscard]] bool lists(std::string_view list, std::string_view element);

}  // namespace conntrace::http
