// SPDX-License-Identifier: Apache-2.0
// What holds of a rate limiter whatever is done to it.

#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <vector>

#include "conntrace/rate_limiter.h"
#include "support/fake_clock.h"

namespace conntrace {
namespace {

using namespace std::chrono_literals;
using testing::FakeClock;

struct Act {
  MonoTime at;
  std::size_t n;
};

/// In any window between two acts there is at most rate * time + burst. Times are cut to whole nanoseconds.
::testing::AssertionResult keeps_limit(std::vector<Act> acts, RateLimit limit) {
  std::stable_sort(acts.begin(), acts.end(), [](const Act& a, const Act& b) { return a.at < b.at; });
  // The largest excess of sum - rate * time over all windows, in one pass (Kadane's).
  double excess = 0;
  MonoTime last = acts.empty() ? MonoTime{} : acts.front().at;
  for (const Act& act : acts) {
    const double seconds = std::chrono::duration<double>(act.at - last).count();
    excess = std::max(0.0, excess - limit.per_second * seconds) + static_cast<double>(act.n);
    last = act.at;
    const double allowed = static_cast<double>(limit.burst) + limit.per_second * 2e-9 + 1e-6;
    if (excess > allowed) {
      return ::testing::AssertionFailure() << "a window that ends at " << act.at.count() << " ns holds " << excess
                                           << " beyond the rate; the burst is " << limit.burst;
    }
  }
  return ::testing::AssertionSuccess();
}

struct Shape {
  RateLimit limit;
  std::chrono::nanoseconds step;  ///< time moves by up to so much at once
};

class RateLimiterModel : public ::testing::TestWithParam<std::uint32_t> {};

TEST_P(RateLimiterModel, NoWindowHoldsMoreThanRateTimesTimePlusBurst) {
  std::mt19937 random(GetParam());
  const auto below = [&](std::size_t end) { return std::uniform_int_distribution<std::size_t>(0, end - 1)(random); };
  static const std::vector<Shape> shapes = {{{10, 5}, 400ms}, {{1, 1}, 3s},
                                            {{1000, 3}, 2ms}, {{0.7692307692307693, 2}, 4s},
                                            {{3, 40}, 10s},   {{1e7, 100}, 5us}};
  const Shape& shape = shapes[GetParam() % shapes.size()];
  FakeClock clock;
  RateLimiter limiter(shape.limit, clock);
  std::vector<Act> acts;
  struct Held {
    RateLimiter::Reservation reservation;
    std::size_t n;
  };
  std::vector<Held> held;
  std::size_t taken = 0;

  for (int step = 0; step < 3000; ++step) {
    const std::size_t n = below(shape.limit.burst + 2);
    switch (below(5)) {
      case 0: {
        const double tokens = limiter.tokens();
        const bool allowed = limiter.allow(n);
        // Less than a nanosecond's worth is forgiven.
        const double wanted = static_cast<double>(n) - shape.limit.per_second * 1e-9 - 1e-9;
        if (tokens >= static_cast<double>(n)) {
          ASSERT_TRUE(allowed || n > shape.limit.burst);
        }
        if (tokens < wanted) {
          ASSERT_FALSE(allowed);
        }
        if (allowed) acts.push_back({clock.now(), n});
        taken += allowed ? n : 0;
        break;
      }
      case 1: {
        auto reservation = limiter.reserve(n);
        ASSERT_EQ(reservation.ok(), n <= shape.limit.burst);
        if (reservation.ok()) held.push_back({std::move(reservation), n});
        break;
      }
      case 2:
        if (held.empty()) break;
        {
          const std::size_t which = below(held.size());
          const bool in_time = held[which].reservation.time_to_act() >= clock.now();
          if (!in_time) break;
          const double before = limiter.tokens();
          held[which].reservation.cancel();
          ASSERT_GE(limiter.tokens(), before);
          ASSERT_LE(limiter.tokens(), before + static_cast<double>(held[which].n) + 1e-6);
          held.erase(held.begin() + static_cast<std::ptrdiff_t>(which));
        }
        break;
      default: clock.advance(std::chrono::nanoseconds(below(static_cast<std::size_t>(shape.step.count())))); break;
    }
    ASSERT_LE(limiter.tokens(), static_cast<double>(shape.limit.burst));
    std::erase_if(held, [&](const Held& one) {
      if (one.reservation.time_to_act() > clock.now()) return false;
      acts.push_back({one.reservation.time_to_act(), one.n});
      taken += one.n;
      return true;
    });
  }
  EXPECT_GT(taken, 0u);
  EXPECT_TRUE(keeps_limit(std::move(acts), shape.limit));
}

INSTANTIATE_TEST_SUITE_P(Seeds, RateLimiterModel, ::testing::Range(0U, 60U));

/// Who never cancels and always wants gets the whole rate.
TEST(RateLimiterModelTest, ASaturatedLimiterGivesItsWholeRate) {
  FakeClock clock;
  const RateLimit limit{1000, 10};
  RateLimiter limiter(limit, clock);
  const MonoTime start = clock.now();
  std::mt19937 random(1);
  std::size_t given = 0;
  while (clock.now() - start < 100s) {
    const auto n = std::uniform_int_distribution<std::size_t>(1, limit.burst)(random);
    const auto reservation = limiter.reserve(n);
    ASSERT_TRUE(reservation.ok());
    clock.advance(reservation.delay());
    given += n;
  }
  const double seconds = std::chrono::duration<double>(clock.now() - start).count();
  EXPECT_NEAR(static_cast<double>(given), limit.per_second * seconds + 10, 0.01);
}

TEST(KeepsLimit, SeesAViolation) {
  EXPECT_FALSE(keeps_limit({{0s, 2}, {100ms, 1}, {150ms, 1}}, {10, 2}));
  EXPECT_TRUE(keeps_limit({{0s, 2}, {100ms, 1}, {200ms, 1}}, {10, 2}));
}

}  // namespace
}  // namespace conntrace
