// SPDX-License-Identifier: Apache-2.0
#include "http/syntax.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdint>
#include <cstring>

namespace conntrace::http {
namespace {

constexpr std::uint64_t kOnes = 0x0101010101010101;
constexpr std::uint64_t kHighs = kOnes * 0x80;
constexpr unsigned char kDelete = 0x7f;

/// Whether one of eight bytes is below 0x20 or is 0x7f (a tab counts, too).
bool has_control(std::uint64_t word) {
  const std::uint64_t below = (word - kOnes * 0x20) & ~word;
  const std::uint64_t deleted = word ^ (kOnes * kDelete);
  return (((below | ((deleted - kOnes) & ~deleted)) & kHighs)) != 0;
}

char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c | 0x20) : c; }

}  // namespace

bool is_token(std::string_view text) { return !text.empty() && std::all_of(text.begin(), text.end(), is_token_char); }

std::size_t find_control(std::string_view text) {
  std::size_t at = 0;
  std::uint64_t word = 0;
  if (text.size() >= sizeof word) {
    const std::size_t last = text.size() - sizeof word;  // the last word may overlap the one before it
    for (;; at = std::min(at + sizeof word, last)) {
      std::memcpy(&word, text.data() + at, sizeof word);
      if (has_control(word)) break;
      if (at == last) return std::string_view::npos;
    }
  }
  for (; at < text.size(); ++at) {
    const auto byte = static_cast<unsigned char>(text[at]);
    if ((byte < 0x20 && byte != '\t') || byte == kDelete) return at;
  }
  return std::string_view::npos;
}

bool same_but_for_case(std::string_view left, std::string_view right) {
  for (std::size_t i = 0; i < left.size(); ++i) {
    if (left[i] != right[i] && lower(left[i]) != lower(right[i])) return false;
  }
  return true;
}

std::string quoted(std::string_view text) {
  constexpr std::size_t kShown = 40;
  std::string result = "\"";
  for (const char c : text.substr(0, kShown)) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte < 0x20 || byte >= kDelete) {
      result += fmt::format("\\x{:02x}", byte);
    } else {
      result += c;
    }
  }
  result += text.size() > kShown ? "…\"" : "\"";
  return result;
}

std::string lower_case(std::string_view text) {
  std::string result(text);
  std::transform(result.begin(), result.end(), result.begin(), lower);
  return result;
}

bool lists(std::string_view list, std::string_view element) {
  bool found = false;
  split(list, ',', [&](std::string_view part) { found = found || iequals(part, element); });
  return found;
}

}  // namespace conntrace::http
