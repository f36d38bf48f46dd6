// SPDX-License-Identifier: Apache-2.0
#include "timeline/wall_time.h"

#include <gtest/gtest.h>

#include "conntrace/clock.h"
#include "timeline/duration_text.h"

namespace conntrace::cli {
namespace {

TEST(WallTime, reads_what_rfc3339_writes) {
  for (const std::int64_t ns : {0ll, 1ll, 1'767'323'045'123'456'789ll, 951'827'696'000'000'000ll}) {
    const std::string text = rfc3339(std::chrono::nanoseconds(ns));
    EXPECT_EQ(parse_rfc3339(text).value_or(std::chrono::nanoseconds(-1)).count(), ns) << text;
  }
}

TEST(WallTime, takes_fewer_digits) {
  EXPECT_EQ(parse_rfc3339("1970-01-01T00:00:01Z")->count(), 1'000'000'000);
  EXPECT_EQ(parse_rfc3339("1970-01-01T00:00:01.5Z")->count(), 1'500'000'000);
}

TEST(WallTime, refuses_what_is_no_time) {
  for (const char* text : {"", "now", "2026-01-02", "2026-13-02T03:04:05Z", "2026-02-30T03:04:05Z",
                           "2026-01-02T25:04:05Z", "2026-01-02T03:04:05", "2026-01-02T03:04:05.12x456789Z",
                           "2026-01-02T03:04:05+01:00", "2026-01-02T03:04:-5Z", "9999-01-02T03:04:05Z"}) {
    EXPECT_FALSE(parse_rfc3339(text)) << text;
  }
}

TEST(DurationText, has_three_digits) {
  EXPECT_EQ(duration_text(0), "0 ns");
  EXPECT_EQ(duration_text(999), "999 ns");
  EXPECT_EQ(duration_text(1'000), "1.00 us");
  EXPECT_EQ(duration_text(33'100), "33.1 us");
  EXPECT_EQ(duration_text(999'499), "999 us");
  EXPECT_EQ(duration_text(999'500), "1.00 ms");
  EXPECT_EQ(duration_text(52'100'000), "52.1 ms");
  EXPECT_EQ(duration_text(1'500'000'000), "1.5 s");
  EXPECT_EQ(duration_text(90'000'000'000), "90 s");
  EXPECT_EQ(duration_text(120'000'000'000), "120 s");
}

}  // namespace
}  // namespace conntrace::cli
