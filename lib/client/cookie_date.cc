// SPDX-License-Identifier: Apache-2.0
#include "client/cookie_date.h"

#include <array>

#include "http/syntax.h"

namespace conntrace::client {
namespace {

bool is_digit(char c) { return c >= '0' && c <= '9'; }

bool is_delimiter(char c) {
  const auto byte = static_cast<unsigned char>(c);
  return byte == 0x09 || (byte >= 0x20 && byte <= 0x2f) || (byte >= 0x3b && byte <= 0x40) ||
         (byte >= 0x5b && byte <= 0x60) || (byte >= 0x7b && byte <= 0x7e);
}

/// Takes `least` to `most` digits from the front; what follows must not be a digit.
std::optional<int> take_number(std::string_view& text, std::size_t least, std::size_t most) {
  std::size_t digits = 0;
  int value = 0;
  while (digits < text.size() && is_digit(text[digits])) {
    if (digits == most) return std::nullopt;
    value = value * 10 + (text[digits++] - '0');
  }
  if (digits < least) return std::nullopt;
  text.remove_prefix(digits);
  return value;
}

std::optional<std::chrono::seconds> time_of_day(std::string_view token) {
  std::array<int, 3> parts{};
  for (std::size_t i = 0; i < parts.size(); ++i) {
    const auto number = take_number(token, 1, 2);
    if (!number) return std::nullopt;
    parts[i] = *number;
    if (i + 1 == parts.size()) break;
    if (token.empty() || token.front() != ':') return std::nullopt;
    token.remove_prefix(1);
  }
  if (parts[0] > 23 || parts[1] > 59 || parts[2] > 59) return std::chrono::seconds(-1);
  return std::chrono::hours(parts[0]) + std::chrono::minutes(parts[1]) + std::chrono::seconds(parts[2]);
}

std::optional<unsigned> month_of(std::string_view token) {
  constexpr std::string_view kMonths[] = {"jan", "feb", "mar", "apr", "may", "jun",
                                          "jul", "aug", "sep", "oct", "nov", "dec"};
  for (unsigned i = 0; i < std::size(kMonths); ++i) {
    if (http::iequals(token.substr(0, 3), kMonths[i])) return i + 1;
  }
  return std::nullopt;
}

/// The parts that were found so far; the first token that can be a part is it.
struct Parts {
  std::optional<std::chrono::seconds> time;
  std::optional<int> day;
  std::optional<unsigned> month;
  std::optional<int> year;

  void take(std::string_view token) {
    if (!time && (time = time_of_day(token))) return;
    std::string_view rest = token;
    if (!day && (day = take_number(rest, 1, 2))) return;
    if (!month && (month = month_of(token))) return;
    if (!year) year = take_number(token, 2, 4);
  }
};

}  // namespace

std::optional<std::chrono::sys_seconds> parse_cookie_date(std::string_view text) {
  Parts parts;
  while (!text.empty()) {
    std::size_t begin = 0;
    while (begin < text.size() && is_delimiter(text[begin])) ++begin;
    std::size_t end = begin;
    while (end < text.size() && !is_delimiter(text[end])) ++end;
    if (end > begin) parts.take(text.substr(begin, end - begin));
    text.remove_prefix(end);
  }
  if (!parts.time || !parts.day || !parts.month || !parts.year) return std::nullopt;
  int year = *parts.year;
  if (year < 70) {
    year += 2000;
  } else if (year < 100) {
    year += 1900;
  }
  constexpr int kFirstYear = 1601;
  const std::chrono::year_month_day date{std::chrono::year(year), std::chrono::month(*parts.month),
                                         std::chrono::day(static_cast<unsigned>(*parts.day))};
  if (year < kFirstYear || !date.ok() || parts.time->count() < 0) return std::nullopt;
  return std::chrono::sys_days(date) + *parts.time;
}

}  // namespace conntrace::client
