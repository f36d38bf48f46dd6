// SPDX-License-Identifier: Apache-2.0
#include "client/set_cookie.h"

#include <gtest/gtest.h>

#include "client/cookie_date.h"

namespace conntrace::client {
namespace {

using namespace std::chrono_literals;
using std::chrono::sys_days;
using std::chrono::sys_seconds;

const sys_seconds kNow = sys_days(2026y / 1 / 1) + 12h;

SetCookie parsed(std::string_view field) {
  const auto cookie = parse_set_cookie(field, kNow);
  EXPECT_TRUE(cookie.has_value()) << field;
  return cookie.value_or(SetCookie());
}

TEST(CookieDate, EveryForm) {
  const sys_seconds wanted = sys_days(1994y / 11 / 6) + 8h + 49min + 37s;
  for (const std::string_view text :
       {"Sun, 06 Nov 1994 08:49:37 GMT", "Sunday, 06-Nov-94 08:49:37 GMT", "Sun Nov  6 08:49:37 1994",
        "06 Nov 1994 08:49:37", "6-NOVEMBER-1994 8:49:37", "1994 Nov 6 08:49:37 GMT", "08:49:37 06 nov 1994",
        "Sun, 06 Nov 1994 08:49:37.999 GMT", "Nov 6th 1994 08:49:37+0200"}) {
    EXPECT_EQ(parse_cookie_date(text), wanted) << text;
  }
  EXPECT_EQ(parse_cookie_date("1 Jan 69 00:00:00"), sys_seconds(sys_days(2069y / 1 / 1)));
  EXPECT_EQ(parse_cookie_date("1 Jan 70 00:00:00"), sys_seconds(sys_days(1970y / 1 / 1)));
  EXPECT_EQ(parse_cookie_date("1 Jan 9999 00:00:00"), sys_seconds(sys_days(9999y / 1 / 1)));
  EXPECT_EQ(parse_cookie_date("1 Jan 1601 00:00:00"), sys_seconds(sys_days(1601y / 1 / 1)));
}

TEST(CookieDate, WhatIsNone) {
  for (const std::string_view text :
       {"", "tomorrow", "06 Nov 1994", "08:49:37", "Nov 1994 08:49:37", "06 1994 08:49:37", "06 Nov 08:49:37",
        "31 Feb 2026 00:00:00", "32 Jan 2026 00:00:00", "0 Jan 2026 00:00:00", "1 Jan 1600 00:00:00",
        "1 Jan 2026 24:00:00", "1 Jan 2026 00:60:00", "1 Jan 2026 00:00:60", "1 Jan 20260 00:00:00",
        "1 Jan 2026 000:00:00", "1 Jan 2026 00:00"}) {
    EXPECT_EQ(parse_cookie_date(text), std::nullopt) << text;
  }
}

TEST(SetCookie, NameAndValue) {
  const auto pair = [](std::string_view field) {
    const SetCookie cookie = parsed(field);
    return std::pair(cookie.name, cookie.value);
  };
  using Pair = std::pair<std::string, std::string>;
  EXPECT_EQ(pair("a=b"), Pair("a", "b"));
  EXPECT_EQ(pair(" a = b ; Secure"), Pair("a", "b"));
  EXPECT_EQ(pair("a=b=c"), Pair("a", "b=c"));
  EXPECT_EQ(pair("a="), Pair("a", ""));
  EXPECT_EQ(pair("=b"), Pair("", "b"));
  EXPECT_EQ(pair("b"), Pair("", "b"));
  EXPECT_EQ(pair("a=\"b c\""), Pair("a", "\"b c\""));
}

TEST(SetCookie, WhatIsIgnored) {
  for (const std::string& field : {std::string(), std::string("="), std::string(" ; Secure"), std::string("a=b\x01"),
                                   std::string("a=b\r\nc"), std::string("a\0=b", 4), "a=" + std::string(4096, 'x')}) {
    EXPECT_FALSE(parse_set_cookie(field, kNow)) << testing::PrintToString(field);
  }
  EXPECT_TRUE(parse_set_cookie("a=" + std::string(4095, 'x'), kNow));
}

TEST(SetCookie, Attributes) {
  const SetCookie cookie = parsed("a=b; Path=/x; DOMAIN=.Example.COM; secure; HttpOnly; SameSite=lax; Unknown=y; ;");
  EXPECT_EQ(cookie.path, "/x");
  EXPECT_EQ(cookie.domain, "example.com");
  EXPECT_TRUE(cookie.secure);
  EXPECT_TRUE(cookie.http_only);
  EXPECT_EQ(cookie.same_site, SameSite::lax);
  EXPECT_EQ(cookie.expires, std::nullopt);
  EXPECT_EQ(parsed("a=b; Path=x").path, "");
  EXPECT_EQ(parsed("a=b; Path=/x; Path=").path, "");
  EXPECT_EQ(parsed("a=b; Domain=x; Domain=y").domain, "y");
  EXPECT_EQ(parsed("a=b; Path=/" + std::string(1024, 'x')).path, "");
  EXPECT_EQ(parsed("a=b; SameSite=maybe").same_site, SameSite::unset);
}

TEST(SetCookie, Expiry) {
  EXPECT_EQ(parsed("a=b; Max-Age=60").expires, kNow + 60s);
  EXPECT_EQ(parsed("a=b; Max-Age=60; Expires=Thu, 01 Jan 1970 00:00:00 GMT").expires, kNow + 60s);
  EXPECT_EQ(parsed("a=b; Expires=Fri, 02 Jan 2026 00:00:00 GMT").expires, sys_seconds(sys_days(2026y / 1 / 2)));
  EXPECT_LT(parsed("a=b; Max-Age=0").expires, kNow);
  EXPECT_LT(parsed("a=b; Max-Age=-5").expires, kNow);
  EXPECT_EQ(parsed("a=b; Max-Age=+5").expires, std::nullopt);
  EXPECT_EQ(parsed("a=b; Max-Age=5x").expires, std::nullopt);
  EXPECT_EQ(parsed("a=b; Max-Age=").expires, std::nullopt);
  EXPECT_EQ(parsed("a=b; Expires=soon").expires, std::nullopt);
  const sys_seconds longest = kNow + std::chrono::days(400);
  EXPECT_EQ(parsed("a=b; Max-Age=99999999").expires, longest);
  EXPECT_EQ(parsed("a=b; Max-Age=99999999999999999999999").expires, longest);
  EXPECT_EQ(parsed("a=b; Expires=Fri, 01 Jan 9999 00:00:00 GMT").expires, longest);
}

}  // namespace
}  // namespace conntrace::client
