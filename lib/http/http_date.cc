// SPDX-License-Identifier: Apache-2.0
#include "http/http_date.h"

#include <algorithm>
#include <array>

#include "conntrace/retry.h"

namespace conntrace {
namespace {

using namespace std::string_view_literals;

constexpr std::array kDays = {"Mon"sv, "Tue"sv, "Wed"sv, "Thu"sv, "Fri"sv, "Sat"sv, "Sun"sv};
constexpr std::array kLongDays = {"Monday"sv, "Tuesday"sv,  "Wednesday"sv, "Thursday"sv,
                                  "Friday"sv, "Saturday"sv, "Sunday"sv};
constexpr std::array kMonths = {"Jan"sv, "Feb"sv, "Mar"sv, "Apr"sv, "May"sv, "Jun"sv,
                                "Jul"sv, "Aug"sv, "Sep"sv, "Oct"sv, "Nov"sv, "Dec"sv};

bool is_digit(char c) { return c >= '0' && c <= '9'; }

/// Reads from the front. What does not fit sets `bad`, and stays so.
struct Scanner {
  std::string_view rest;
  bool bad = false;

  void literal(std::string_view text) {
    if (rest.substr(0, text.size()) != text) bad = true;
    rest.remove_prefix(std::min(text.size(), rest.size()));
  }
  int digits(std::size_t count) {
    int value = 0;
    for (std::size_t i = 0; i < count; ++i) {
      if (rest.empty() || !is_digit(rest.front())) {
        bad = true;
        return 0;
      }
      value = value * 10 + (rest.front() - '0');
      rest.remove_prefix(1);
    }
    return value;
  }
  /// Which of the names stands here, from 1.
  template <std::size_t n>
  unsigned one_of(const std::array<std::string_view, n>& names) {
    for (std::size_t i = 0; i < n; ++i) {
      if (rest.substr(0, names[i].size()) != names[i]) continue;
      rest.remove_prefix(names[i].size());
      return static_cast<unsigned>(i) + 1;
    }
    bad = true;
    return 0;
  }
};

struct Date {
  int year = 0;
  unsigned month = 0;
  int day = 0;
  int hour = 0;
  int minute = 0;
  int second = 0;

  void time(Scanner& in) {
    hour = in.digits(2);
    in.literal(":");
    minute = in.digits(2);
    in.literal(":");
    second = in.digits(2);
  }
};

std::optional<std::chrono::seconds> since_epoch(const Date& date) {
  const std::chrono::year_month_day day{std::chrono::year(date.year), std::chrono::month(date.month),
                                        std::chrono::day(static_cast<unsigned>(date.day))};
  // 60 is a leap second.
  if (!day.ok() || date.hour > 23 || date.minute > 59 || date.second > 60) return std::nullopt;
  return std::chrono::sys_days(day).time_since_epoch() + std::chrono::hours(date.hour) +
         std::chrono::minutes(date.minute) + std::chrono::seconds(date.second);
}

std::optional<Date> imf_fixdate(Scanner in) {
  Date date;
  in.one_of(kDays);
  in.literal(", ");
  date.day = in.digits(2);
  in.literal(" ");
  date.month = in.one_of(kMonths);
  in.literal(" ");
  date.year = in.digits(4);
  in.literal(" ");
  date.time(in);
  in.literal(" GMT");
  return in.bad || !in.rest.empty() ? std::nullopt : std::optional(date);
}

std::optional<Date> rfc850_date(Scanner in, int this_year) {
  Date date;
  in.one_of(kLongDays);
  in.literal(", ");
  date.day = in.digits(2);
  in.literal("-");
  date.month = in.one_of(kMonths);
  in.literal("-");
  date.year = this_year / 100 * 100 + in.digits(2);
  if (date.year > this_year + 50) date.year -= 100;
  if (date.year <= this_year - 50) date.year += 100;
  in.literal(" ");
  date.time(in);
  in.literal(" GMT");
  return in.bad || !in.rest.empty() ? std::nullopt : std::optional(date);
}

std::optional<Date> asctime_date(Scanner in) {
  Date date;
  in.one_of(kDays);
  in.literal(" ");
  date.month = in.one_of(kMonths);
  in.literal(" ");
  const bool padded = in.rest.starts_with(' ');
  if (padded) in.literal(" ");
  date.day = in.digits(padded ? 1 : 2);
  in.literal(" ");
  date.time(in);
  in.literal(" ");
  date.year = in.digits(4);
  return in.bad || !in.rest.empty() ? std::nullopt : std::optional(date);
}

}  // namespace

std::optional<std::chrono::seconds> parse_http_date(std::string_view text, std::chrono::nanoseconds wall_now) {
  const std::chrono::sys_time<std::chrono::nanoseconds> now(wall_now);
  const std::chrono::year_month_day today(std::chrono::floor<std::chrono::days>(now));
  std::optional<Date> date = imf_fixdate({text});
  if (!date) date = rfc850_date({text}, static_cast<int>(today.year()));
  if (!date) date = asctime_date({text});
  return date ? since_epoch(*date) : std::nullopt;
}

std::optional<std::chrono::nanoseconds> parse_retry_after(std::string_view value, std::chrono::nanoseconds wall_now) {
  using std::chrono::nanoseconds;
  constexpr std::string_view kBlank = " \t";
  value.remove_prefix(std::min(value.find_first_not_of(kBlank), value.size()));
  value = value.substr(0, value.find_last_not_of(kBlank) + 1);
  if (value.empty()) return std::nullopt;

  constexpr std::chrono::seconds kMost = std::chrono::floor<std::chrono::seconds>(nanoseconds::max());
  if (std::all_of(value.begin(), value.end(), is_digit)) {
    std::chrono::seconds pause{};
    for (const char c : value) {
      if (pause > kMost / 10) return nanoseconds::max();
      pause = pause * 10 + std::chrono::seconds(c - '0');
    }
    return pause > kMost ? nanoseconds::max() : nanoseconds(pause);
  }
  const auto date = parse_http_date(value, wall_now);
  if (!date) return std::nullopt;
  if (*date > kMost) return nanoseconds::max();
  // A date before the epoch's reach in nanoseconds (1677) is past like any other.
  return *date < std::chrono::seconds(0) ? nanoseconds(0) : std::max(nanoseconds(*date) - wall_now, nanoseconds(0));
}

}  // namespace conntrace
