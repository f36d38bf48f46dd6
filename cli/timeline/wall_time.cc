// SPDX-License-Identifier: Apache-2.0
#include "timeline/wall_time.h"

#include <charconv>

namespace conntrace::cli {
namespace {

/// Takes `digits` digits and the character that must follow them.
std::optional<int> take_number(std::string_view& text, std::size_t digits, char after) {
  int value = 0;
  if (text.size() <= digits || text[digits] != after) return std::nullopt;
  const auto [end, error] = std::from_chars(text.data(), text.data() + digits, value);
  if (error != std::errc() || end != text.data() + digits || value < 0) return std::nullopt;
  text.remove_prefix(digits + 1);
  return value;
}

}  // namespace

std::optional<std::chrono::nanoseconds> parse_rfc3339(std::string_view text) {
  const auto year = take_number(text, 4, '-');
  const auto month = take_number(text, 2, '-');
  const auto day = take_number(text, 2, 'T');
  const auto hour = take_number(text, 2, ':');
  const auto minute = take_number(text, 2, ':');
  if (!year || !month || !day || !hour || !minute) return std::nullopt;
  const bool fraction = text.size() > 2 && text[2] == '.';
  const auto second = take_number(text, 2, fraction ? '.' : 'Z');
  if (!second || *hour > 23 || *minute > 59 || *second > 60) return std::nullopt;
  std::int64_t nanoseconds = 0;
  if (fraction) {
    std::int64_t unit = 100'000'000;
    if (text.size() < 2 || text.back() != 'Z') return std::nullopt;
    text.remove_suffix(1);
    for (const char digit : text) {
      if (digit < '0' || digit > '9') return std::nullopt;
      nanoseconds += (digit - '0') * unit;
      unit /= 10;
    }
  } else if (!text.empty()) {
    return std::nullopt;
  }
  const std::chrono::year_month_day date{std::chrono::year(*year), std::chrono::month(static_cast<unsigned>(*month)),
                                         std::chrono::day(static_cast<unsigned>(*day))};
  if (!date.ok() || *year < 1970 || *year > 2261) return std::nullopt;
  const auto seconds = std::chrono::sys_days(date).time_since_epoch() + std::chrono::hours(*hour) +
                       std::chrono::minutes(*minute) + std::chrono::seconds(*second);
  return std::chrono::nanoseconds(seconds) + std::chrono::nanoseconds(nanoseconds);
}

}  // namespace conntrace::cli
