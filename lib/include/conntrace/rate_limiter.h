// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <list>
#include <map>
#include <memory>
#include <mutex>
#include <stop_token>
#include <string>
#include <string_view>
#include <unordered_map>

#include "conntrace/clock.h"
#include "conntrace/error.h"

namespace conntrace {

/// How often something may happen. A rate without limit ignores the burst; a rate of 0 refills nothing.
struct RateLimit {
  static constexpr double kUnlimited = std::numeric_limits<double>::infinity();

  double per_second = kUnlimited;
  std::size_t burst = 1;  ///< tokens that the bucket holds, and the most that one call may take

  /// One event an interval; without limit if the interval is not positive.
  [[nodiscard]] static constexpr double every(std::chrono::nanoseconds interval) noexcept {
    return interval.count() <= 0 ? kUnlimited : 1e9 / static_cast<double>(interval.count());
  }
};

/// A token bucket, full at first: in any time t at most per_second * t + burst events.
///
/// Threading: any thread may call. Lifetime: the clock outlives the limiter and its reservations.
/// Blocking:  only wait() does.
/// Source:    golang.org/x/time/rate. Otherwise than there, time never goes back (a call that comes late counts as
/// now),
///            a reservation gives its tokens back at most once, and one that would never be granted is not ok.
class RateLimiter {
 public:
  class Reservation;

  explicit RateLimiter(RateLimit limit, Clock& clock = real_clock());
  RateLimiter(const RateLimiter&) = delete;
  RateLimiter& operator=(const RateLimiter&) = delete;

  /// Takes `n` tokens now, or none and returns false.
  [[nodiscard]] bool allow(std::size_t n = 1);
  /// Takes `n` tokens, those of the future if need be, and says from when on the caller may act. Not ok, and nothing is
  /// taken, if that is never (`n` exceeds the burst) or later than `at_most` from now.
  [[nodiscard]] Reservation reserve(std::size_t n = 1, std::chrono::nanoseconds at_most = MonoTime::max());
  /// Blocking: takes `n` tokens as soon as they are there.
  /// Errors: exceeds_burst, cancelled (stop was requested) and rate_limited (they would come after `deadline`) at once,
  ///         cancelled while it waits; nothing is taken then.
  [[nodiscard]] Result<void> wait(std::size_t n = 1, MonoTime deadline = MonoTime::max(),
                                  const std::stop_token& stop = {});

  /// Tokens now; negative when those of the future are reserved.
  [[nodiscard]] double tokens() const;
  [[nodiscard]] RateLimit limit() const;
  /// From now on. Tokens earned so far stay (as far as the burst holds them), reservations keep their times.
  void set_limit(double per_second);
  void set_burst(std::size_t burst);

 private:
  struct Bucket;
  std::shared_ptr<Bucket> bucket_;
};

/// Tokens taken from a RateLimiter, which need not live as long. Dropping it keeps the tokens taken: who does not act
/// cancels.
///
/// Threading: a value; one thread at a time.
class RateLimiter::Reservation {
 public:
  /// Not ok.
  Reservation() = default;
  [[nodiscard]] bool ok() const noexcept { return bucket_ != nullptr; }
  /// From when on the holder may act; MonoTime::max() if not ok.
  [[nodiscard]] MonoTime time_to_act() const noexcept { return ok() ? time_to_act_ : MonoTime::max(); }
  /// From now to time_to_act(), 0 if that is past; MonoTime::max() if not ok.
  [[nodiscard]] std::chrono::nanoseconds delay() const;
  /// The holder will not act. Gives the tokens back, except for as many as were reserved later (their holders were told
  /// times that count on them), and none once time_to_act() is past. It is not ok after that.
  void cancel();

 private:
  friend class RateLimiter;
  Reservation(std::shared_ptr<Bucket> bucket, MonoTime time_to_act, std::size_t tokens, double per_second)
      : bucket_(std::move(bucket)), time_to_act_(time_to_act), tokens_(tokens), per_second_(per_second) {}

  std::shared_ptr<Bucket> bucket_;
  MonoTime time_to_act_{};
  std::size_t tokens_ = 0;
  double per_second_ = 0;  ///< when it was made
};

struct KeyedRateLimiterOptions {
  RateLimit each;  ///< of a key that is not in `overrides`
  std::map<std::string, RateLimit, std::less<>> overrides;
  std::size_t max_keys = 1024;  ///< at least 1
};

/// What happened in a KeyedRateLimiter.
struct KeyedRateLimiterStats {
  std::size_t keys = 0;
  std::uint64_t evicted = 0;           ///< buckets forgotten for want of room
  std::uint64_t evicted_not_full = 0;  ///< of those, the ones whose key may now exceed its limit by up to a burst
};

/// A RateLimiter for each key (a host, say), made when it is first asked for. When there are max_keys, the least
/// recently used is forgotten; its key starts with a full bucket again.
///
/// Threading: any thread may call. Lifetime: the clock outlives it; a limiter lives as long as somebody holds it.
class KeyedRateLimiter {
 public:
  explicit KeyedRateLimiter(KeyedRateLimiterOptions options, Clock& clock = real_clock());
  [[nodiscard]] std::shared_ptr<RateLimiter> get(std::string_view key);
  [[nodiscard]] KeyedRateLimiterStats stats() const;

 private:
  struct Entry {
    std::string key;
    std::shared_ptr<RateLimiter> limiter;
  };
  const KeyedRateLimiterOptions options_;
  Clock& clock_;
  mutable std::mutex mutex_;
  std::list<Entry> entries_;  ///< most recently used first
  std::unordered_map<std::string_view, std::list<Entry>::iterator> by_key_;
  KeyedRateLimiterStats stats_;
};

}  // namespace conntrace
