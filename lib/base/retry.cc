// SPDX-License-Identifier: Apache-2.0
#include "conntrace/retry.h"

#include <algorithm>
#include <utility>

#include "conntrace/retry_call.h"

namespace conntrace {
namespace {

using std::chrono::nanoseconds;

/// RetryError keeps that many, so that attempts without end do not fill the memory.
constexpr std::size_t kMaxErrors = 32;

}  // namespace

RetryPolicy::RetryPolicy(RetryOptions options) : options_(std::move(options)) {
  if (!options_.delay_type) options_.delay_type = combined_delay({exponential_delay, random_delay});
  if (!options_.random) options_.random = unpredictable_random();
}

RetryDecision RetryPolicy::next(RetryState& state, FailedAttempt failed) const {
  failed.number = ++state.failed;
  if (failed.error != nullptr && !failed.error->recoverable) return {.stop = RetryStop::unrecoverable};
  const bool listed =
      std::find(options_.statuses.begin(), options_.statuses.end(), failed.status) != options_.statuses.end();
  if (options_.retry_if ? !options_.retry_if(failed) : failed.error == nullptr && !listed) {
    return {.stop = RetryStop::not_retryable};
  }
  const RetryDecision decision = decide(state, failed);
  if (options_.on_retry) options_.on_retry(failed, decision);
  return decision;
}

RetryDecision RetryPolicy::decide(RetryState& state, const FailedAttempt& failed) const {
  bool used_up = false;
  state.of_error.resize(options_.attempts_for_error.size());
  for (std::size_t i = 0; i < state.of_error.size() && failed.error != nullptr; ++i) {
    const AttemptsForError& limit = options_.attempts_for_error[i];
    if (failed.error->code == limit.error && ++state.of_error[i] >= limit.attempts) used_up = true;
  }
  if (options_.attempts != 0 && failed.number >= options_.attempts) return {.stop = RetryStop::attempts};
  if (used_up) return {.stop = RetryStop::attempts_for_error};
  const nanoseconds asked = failed.retry_after.value_or(nanoseconds(0));
  if (asked > options_.max_retry_after) return {.stop = RetryStop::retry_after_too_long};

  nanoseconds delay = options_.delay_type({.failed = failed,
                                           .delay = options_.delay,
                                           .max_delay = options_.max_delay,
                                           .max_jitter = options_.max_jitter,
                                           .random = options_.random});
  if (options_.max_delay.count() > 0) delay = std::min(delay, options_.max_delay);
  return {.delay = std::max(delay, asked)};
}

std::string RetryError::message() const {
  std::string text = "gave up (" + std::string(to_string(stop)) + ")";
  std::uint64_t number = forgotten;
  for (const Error& error : errors) text += "; #" + std::to_string(++number) + " " + error.message();
  return text;
}

Error RetryError::to_error() const {
  Error error = last();
  return std::move(error).within("attempt " + std::to_string(forgotten + errors.size()));
}

bool RetryError::contains(std::error_condition condition) const {
  return std::any_of(errors.begin(), errors.end(), [&](const Error& error) { return error.code == condition; });
}

namespace detail {

bool RetryRun::may_begin() {
  if (until_.stop.stop_requested()) {
    error_.stop = RetryStop::cancelled;
    error_.errors.push_back(make_error(Errc::cancelled, "before the first attempt"));
  } else if (clock_.now() >= until_.deadline) {
    error_.stop = RetryStop::deadline;
    error_.errors.push_back(make_error(Errc::timeout, "before the first attempt"));
  }
  return error_.stop == RetryStop::none;
}

bool RetryRun::wait_for_next(Error error, const RetryHint& hint) {
  const RetryDecision decision =
      policy_.next(state_, {.error = &error, .status = hint.status, .retry_after = hint.retry_after});
  if (error_.errors.size() == kMaxErrors) {
    error_.errors.erase(error_.errors.begin());
    ++error_.forgotten;
  }
  error_.errors.push_back(std::move(error));
  error_.stop = decision.stop;
  if (!decision.delay) return false;
  const MonoTime now = clock_.now();
  if (*decision.delay >= until_.deadline - now) {
    error_.stop = RetryStop::deadline;
  } else if (!clock_.sleep_until(now + *decision.delay, until_.stop)) {
    error_.stop = RetryStop::cancelled;
  }
  return error_.stop == RetryStop::none;
}

}  // namespace detail
}  // namespace conntrace
