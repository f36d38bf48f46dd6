// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include "conntrace/rate_limiter.h"

namespace conntrace {

KeyedRateLimiter::KeyedRateLimiter(KeyedRateLimiterOptions options, Clock& clock)
    : options_(std::move(options)), clock_(clock) {}

std::shared_ptr<RateLimiter> KeyedRateLimiter::get(std::string_view key) {
  const std::lock_guard lock(mutex_);
  if (const auto known = by_key_.find(key); known != by_key_.end()) {
    entries_.splice(entries_.begin(), entries_, known->second);
    return known->second->limiter;
  }
  if (entries_.size() >= std::max<std::size_t>(options_.max_keys, 1)) {
    const Entry& oldest = entries_.back();
    ++stats_.evicted;
    const RateLimit limit = oldest.limiter->limit();
    if (limit.per_second != RateLimit::kUnlimited && oldest.limiter->tokens() < static_cast<double>(limit.burst)) {
      ++stats_.evicted_not_full;
    }
    by_key_.erase(oldest.key);
    entries_.pop_back();
  }
  const auto own = options_.overrides.find(key);
  const RateLimit& limit = own == options_.overrides.end() ? options_.each : own->second;
  entries_.push_front({std::string(key), std::make_shared<RateLimiter>(limit, clock_)});
  by_key_.emplace(entries_.front().key, entries_.begin());
  return entries_.front().limiter;
}

KeyedRateLimiterStats KeyedRateLimiter::stats() const {
  const std::lock_guard lock(mutex_);
  KeyedRateLimiterStats stats = stats_;
  stats.keys = entries_.size();
  return stats;
}

}  // namespace conntrace
