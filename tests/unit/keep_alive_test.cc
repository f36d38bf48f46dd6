// SPDX-License-Identifier: Apache-2.0
#include "http/keep_alive.h"

#include <gtest/gtest.h>

namespace conntrace::http {
namespace {

using std::chrono::seconds;

KeepAliveHints hints(const char* value) { return keep_alive_hints({{"Keep-Alive", value}}); }

TEST(KeepAliveHints, TimeoutAndMax) {
  EXPECT_EQ(hints("timeout=5, max=100").timeout, seconds(5));
  EXPECT_EQ(hints("timeout=5, max=100").max, 100u);
  EXPECT_EQ(hints("timeout=20").timeout, seconds(20));
  EXPECT_FALSE(hints("timeout=20").max);
  EXPECT_EQ(hints("MAX=3,TimeOut=7").max, 3u);
  EXPECT_EQ(hints("MAX=3,TimeOut=7").timeout, seconds(7));
}

TEST(KeepAliveHints, NothingIsSaidWithoutTheField) {
  EXPECT_FALSE(keep_alive_hints({{"Connection", "keep-alive"}}).timeout);
  EXPECT_FALSE(keep_alive_hints({}).max);
}

TEST(KeepAliveHints, SpacesAndQuotesDoNotMatter) {
  EXPECT_EQ(hints(" \ttimeout = \"8\" ,, ext ,max= 2\t").timeout, seconds(8));
  EXPECT_EQ(hints(" \ttimeout = \"8\" ,, ext ,max= 2\t").max, 2u);
}

TEST(KeepAliveHints, TheSmallerOfTwo) {
  const KeepAliveHints both = keep_alive_hints({{"keep-alive", "timeout=9, timeout=4"}, {"KEEP-ALIVE", "timeout=6"}});
  EXPECT_EQ(both.timeout, seconds(4));
}

TEST(KeepAliveHints, WhatIsNoNumberIsNotSaid) {
  for (const char* value :
       {"timeout=", "timeout=-1", "timeout=5s", "timeout=\"5", "timeout=1.5", "timeout", "5", "=5"}) {
    EXPECT_FALSE(hints(value).timeout) << value;
  }
}

TEST(KeepAliveHints, HugeNumbersAreHugeTimes) {
  const auto ten_years = seconds(10ll * 365 * 24 * 3600);
  EXPECT_EQ(hints("timeout=18446744073709551615").timeout, ten_years);
  EXPECT_EQ(hints("timeout=99999999999999999999999").timeout, ten_years);
  EXPECT_EQ(hints("max=99999999999999999999999").max, ~std::uint64_t{0});
}

}  // namespace
}  // namespace conntrace::http
