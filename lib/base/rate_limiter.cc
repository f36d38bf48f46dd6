// SPDX-License-Identifier: Apache-2.0
#include "conntrace/rate_limiter.h"

#include <algorithm>
#include <string>
#include <utility>

#include "base/saturate.h"

namespace conntrace {
namespace {

using std::chrono::nanoseconds;

/// What `per_second` earns in a time. Whole seconds are multiplied apart, so that one second at 0.769… a second and
/// 1.3 seconds earn what they should.
double earned(double per_second, nanoseconds time) {
  if (per_second <= 0) return 0;
  const auto seconds = std::chrono::floor<std::chrono::seconds>(time);
  return per_second * static_cast<double>(seconds.count()) +
         per_second * static_cast<double>((time - seconds).count()) / 1e9;
}

/// How long `per_second` takes to earn that many; the longest time if it never does. A fraction of a nanosecond is cut
/// off, which also forgives the rounding of earned(): it stays in the books, and never adds up.
nanoseconds time_to_earn(double per_second, double tokens) {
  if (per_second <= 0) return nanoseconds::max();
  const double time = tokens / per_second * 1e9;
  if (time >= static_cast<double>(nanoseconds::max().count())) return nanoseconds::max();
  return nanoseconds(static_cast<std::int64_t>(time));
}

}  // namespace

struct RateLimiter::Bucket {
  Bucket(RateLimit rate, Clock& its_clock)
      : clock(its_clock), limit(rate), tokens(static_cast<double>(rate.burst)), last(its_clock.now()) {}

  /// Must hold the mutex. Returns the time now, which is never before what it was.
  MonoTime advance() {
    const MonoTime now = std::max(last, clock.now());
    tokens =
        std::min(static_cast<double>(limit.burst), tokens + (unlimited() ? 0 : earned(limit.per_second, now - last)));
    last = now;
    return now;
  }
  [[nodiscard]] bool unlimited() const { return limit.per_second == RateLimit::kUnlimited; }

  Clock& clock;
  std::mutex mutex;
  RateLimit limit;
  double tokens;  ///< at `last`
  MonoTime last;
  MonoTime last_event{};  ///< the latest time that anybody was told to act at
};

RateLimiter::RateLimiter(RateLimit limit, Clock& clock) : bucket_(std::make_shared<Bucket>(limit, clock)) {}

bool RateLimiter::allow(std::size_t n) { return reserve(n, nanoseconds(0)).ok(); }

RateLimiter::Reservation RateLimiter::reserve(std::size_t n, nanoseconds at_most) {
  Bucket& bucket = *bucket_;
  const std::lock_guard lock(bucket.mutex);
  const MonoTime now = bucket.advance();
  if (bucket.unlimited()) return {bucket_, now, 0, RateLimit::kUnlimited};
  if (n > bucket.limit.burst) return {};
  const double left = bucket.tokens - static_cast<double>(n);
  const nanoseconds delay = left < 0 ? time_to_earn(bucket.limit.per_second, -left) : nanoseconds(0);
  if (delay > at_most || delay == nanoseconds::max()) return {};
  bucket.tokens = left;
  bucket.last_event = saturating_add(now, delay);
  return {bucket_, bucket.last_event, n, bucket.limit.per_second};
}

Result<void> RateLimiter::wait(std::size_t n, MonoTime deadline, const std::stop_token& stop) {
  const RateLimit limit = this->limit();
  if (n > limit.burst && limit.per_second != RateLimit::kUnlimited) {
    return Failure(make_error(Errc::exceeds_burst, std::to_string(n) + " of " + std::to_string(limit.burst)));
  }
  if (stop.stop_requested()) return Failure(make_error(Errc::cancelled, "wait for the rate limit"));
  Clock& clock = bucket_->clock;
  const nanoseconds at_most = deadline == MonoTime::max() ? deadline : deadline - clock.now();
  Reservation reservation = reserve(n, at_most);
  if (!reservation.ok()) return Failure(make_error(Errc::rate_limited, "wait for the rate limit"));
  if (clock.sleep_until(reservation.time_to_act(), stop)) return {};
  reservation.cancel();
  return Failure(make_error(Errc::cancelled, "wait for the rate limit"));
}

double RateLimiter::tokens() const {
  const std::lock_guard lock(bucket_->mutex);
  bucket_->advance();
  return bucket_->tokens;
}

RateLimit RateLimiter::limit() const {
  const std::lock_guard lock(bucket_->mutex);
  return bucket_->limit;
}

void RateLimiter::set_limit(double per_second) {
  const std::lock_guard lock(bucket_->mutex);
  bucket_->advance();
  bucket_->limit.per_second = per_second;
}

void RateLimiter::set_burst(std::size_t burst) {
  const std::lock_guard lock(bucket_->mutex);
  bucket_->advance();
  bucket_->limit.burst = burst;
}

nanoseconds RateLimiter::Reservation::delay() const {
  return ok() ? std::max(time_to_act_ - bucket_->clock.now(), nanoseconds(0)) : nanoseconds::max();
}

void RateLimiter::Reservation::cancel() {
  if (!ok()) return;
  const std::shared_ptr<Bucket> bucket = std::exchange(bucket_, nullptr);
  const std::lock_guard lock(bucket->mutex);
  const MonoTime now = bucket->advance();
  if (bucket->unlimited() || tokens_ == 0 || time_to_act_ < now) return;
  const auto taken = static_cast<double>(tokens_);
  // Whoever reserved later was told a time that counts on these tokens: as many as that time is later are not given
  // back.
  const nanoseconds later = std::max(bucket->last_event - time_to_act_, nanoseconds(0));
  const double back = taken - earned(per_second_, later);
  if (back <= 0) return;
  bucket->tokens = std::min(static_cast<double>(bucket->limit.burst), bucket->tokens + back);
  if (time_to_act_ != bucket->last_event) return;
  const MonoTime before = time_to_act_ - time_to_earn(per_second_, taken);
  if (before >= now) bucket->last_event = before;
}

}  // namespace conntrace
