// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include "conntrace/retry.h"
#include "http/http_date.h"

namespace conntrace {
namespace {

using namespace std::chrono_literals;

/// 1994-11-06T08:49:37Z, the date of RFC 9110's examples.
constexpr std::chrono::seconds kExample(784111777);
constexpr std::chrono::nanoseconds kNow = kExample - 90s;

TEST(RetryAfter, Seconds) {
  EXPECT_EQ(parse_retry_after("120", kNow), 120s);
  EXPECT_EQ(parse_retry_after("0", kNow), 0s);
  EXPECT_EQ(parse_retry_after("007", kNow), 7s);
  EXPECT_EQ(parse_retry_after(" 5\t", kNow), 5s) << "the blanks around a field's value are none of it";
  EXPECT_EQ(parse_retry_after("9223372036", kNow), 9223372036s);
  EXPECT_EQ(parse_retry_after("9223372037", kNow), std::chrono::nanoseconds::max()) << "saturates";
  EXPECT_EQ(parse_retry_after("99999999999999999999999999", kNow), std::chrono::nanoseconds::max());
}

TEST(RetryAfter, ADateInEachOfItsForms) {
  for (const char* date :
       {"Sun, 06 Nov 1994 08:49:37 GMT", "Sunday, 06-Nov-94 08:49:37 GMT", "Sun Nov  6 08:49:37 1994"}) {
    EXPECT_EQ(parse_http_date(date, kNow), kExample) << date;
    EXPECT_EQ(parse_retry_after(date, kNow), 90s) << date;
    EXPECT_EQ(parse_retry_after(date, kExample + 1h), 0s) << "past: " << date;
  }
  EXPECT_EQ(parse_retry_after("Wed Nov 16 08:49:37 1994", kExample), 240h);
  EXPECT_EQ(parse_retry_after("Thu, 01 Jan 1960 00:00:00 GMT", kNow), 0s);
  EXPECT_EQ(parse_retry_after("Fri, 31 Dec 9999 23:59:59 GMT", kNow), std::chrono::nanoseconds::max());
}

TEST(RetryAfter, ATwoDigitYearIsTheNearestOne) {
  const auto year = [](std::chrono::nanoseconds now, const char* text) {
    const auto since = parse_http_date(text, now).value_or(0s);
    return static_cast<int>(
        std::chrono::year_month_day(std::chrono::floor<std::chrono::days>(std::chrono::sys_seconds(since))).year());
  };
  const auto in = [](int y) {
    return std::chrono::nanoseconds(std::chrono::sys_days(std::chrono::year(y) / 6 / 1).time_since_epoch());
  };
  EXPECT_EQ(year(in(2026), "Sunday, 06-Nov-94 08:49:37 GMT"), 1994);
  EXPECT_EQ(year(in(2026), "Sunday, 06-Nov-76 08:49:37 GMT"), 2076) << "50 years ahead";
  EXPECT_EQ(year(in(2026), "Sunday, 06-Nov-77 08:49:37 GMT"), 1977) << "more than 50 years ahead is past";
  EXPECT_EQ(year(in(2099), "Sunday, 06-Nov-01 08:49:37 GMT"), 2101);
}

TEST(RetryAfter, WhatIsNeitherIsNothing) {
  for (const char* text : {"",
                           " ",
                           "-1",
                           "+1",
                           "1.5",
                           "1 2",
                           "12s",
                           "soon",
                           "0x10",
                           "Sun, 06 Nov 1994 08:49:37",
                           "Sun, 06 Nov 1994 08:49:37 UTC",
                           "Sun, 6 Nov 1994 08:49:37 GMT",
                           "Sun, 31 Feb 1994 08:49:37 GMT",
                           "Sun, 06 Nov 1994 24:00:00 GMT",
                           "Sun, 06 Nov 1994 08:60:37 GMT",
                           "Sun, 06 Nov 1994 08:49:61 GMT",
                           "Sun, 00 Nov 1994 08:49:37 GMT",
                           "Xyz, 06 Nov 1994 08:49:37 GMT",
                           "Sun, 06 Foo 1994 08:49:37 GMT",
                           "Sun, 06 Nov 1994 08:49:37 GMT.",
                           "sun, 06 nov 1994 08:49:37 gmt",
                           "Sun Nov 6 08:49:37 1994",
                           "Sunday, 06-Nov-1994 08:49:37 GMT",
                           "Sun,"}) {
    EXPECT_EQ(parse_retry_after(text, kNow), std::nullopt) << text;
  }
}

TEST(RetryAfter, ALeapSecondIsADate) {
  EXPECT_TRUE(parse_http_date("Sat, 31 Dec 2016 23:59:60 GMT", kNow));
  EXPECT_TRUE(parse_http_date("Thu, 29 Feb 2024 00:00:00 GMT", kNow));
  EXPECT_FALSE(parse_http_date("Wed, 29 Feb 2023 00:00:00 GMT", kNow));
}

}  // namespace
}  // namespace conntrace
