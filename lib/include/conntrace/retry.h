// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>
#include <string_view>
#include <system_error>
#include <vector>

#include "conntrace/error.h"
#include "conntrace/reasons.h"

namespace conntrace {

/// 64 random bits a call. Whoever shares one between threads needs one that allows that; those made here do.
using Random = std::function<std::uint64_t()>;
/// The same sequence for the same seed.
[[nodiscard]] Random seeded_random(std::uint64_t seed);
/// A sequence of its own.
[[nodiscard]] Random unpredictable_random();

// clang-format off
#define CONNTRACE_RETRY_STOPS(X) \
  X(none, "another attempt follows") \
  X(attempts, "all attempts are used up") \
  X(attempts_for_error, "all attempts that this error gets are used up") \
  X(unrecoverable, "the error says that trying again cannot help") \
  X(not_retryable, "retry_if refused, or the status is none of those that are retried") \
  X(retry_after_too_long, "the server asked for a longer pause than max_retry_after") \
  X(deadline, "the next attempt would begin after the deadline") \
  X(cancelled, "the application cancelled it")
// clang-format on
CONNTRACE_DEFINE_ENUM(RetryStop, CONNTRACE_RETRY_STOPS);

/// What an attempt ended with: an error, or a response that may be worth another attempt.
struct FailedAttempt {
  const Error* error = nullptr;                           ///< nullptr: a response came
  int status = 0;                                         ///< of the response; 0: none came
  std::optional<std::chrono::nanoseconds> retry_after{};  ///< what the response asks for (parse_retry_after)
  std::uint32_t number = 0;                               ///< which attempt it was, from 1; RetryPolicy fills it in
};

/// What a delay is computed from.
struct DelayInput {
  const FailedAttempt& failed;
  std::chrono::nanoseconds delay;
  std::chrono::nanoseconds max_delay;  ///< 0: none
  std::chrono::nanoseconds max_jitter;
  const Random& random;
};
/// The pause after a failed attempt.
using DelayType = std::function<std::chrono::nanoseconds(const DelayInput&)>;

/// `delay`, always.
[[nodiscard]] std::chrono::nanoseconds fixed_delay(const DelayInput& input);
/// delay * 2^(n-1) after the n-th attempt; stops doubling before it overflows.
[[nodiscard]] std::chrono::nanoseconds exponential_delay(const DelayInput& input);
/// Uniform in [0, max_jitter).
[[nodiscard]] std::chrono::nanoseconds random_delay(const DelayInput& input);
/// Uniform in [0, delay * 2^n) after the n-th attempt, but below max_delay.
[[nodiscard]] std::chrono::nanoseconds full_jitter_delay(const DelayInput& input);
/// The sum of several; saturates.
[[nodiscard]] DelayType combined_delay(std::vector<DelayType> types);

/// Attempts that one kind of error gets in all, whatever other errors come between.
struct AttemptsForError {
  AttemptsForError(std::error_condition is, std::uint32_t most) : error(is), attempts(most) {}
  AttemptsForError(std::error_code is, std::uint32_t most) : error(is.default_error_condition()), attempts(most) {}
  std::error_condition error;  ///< counts errors whose code equals it: std::errc::connection_refused, Errc::timeout
  std::uint32_t attempts;
};

struct RetryDecision;

struct RetryOptions {
  std::uint32_t attempts = 10;  ///< the first one included; 0: no limit
  std::chrono::nanoseconds delay = std::chrono::milliseconds(100);
  std::chrono::nanoseconds max_delay{};  ///< cuts what delay_type says; 0: no limit
  std::chrono::nanoseconds max_jitter = std::chrono::milliseconds(100);
  DelayType delay_type;  ///< nothing: exponential_delay and random_delay, added
  /// Whether an attempt may be repeated. Nothing: after every error, and after `statuses`. Errors marked unrecoverable
  /// are not asked about.
  std::function<bool(const FailedAttempt&)> retry_if;
  std::vector<int> statuses = {429, 502, 503, 504};
  /// Runs for each failed attempt that may be repeated, the last one included; the decision says what follows.
  std::function<void(const FailedAttempt&, const RetryDecision&)> on_retry;
  std::vector<AttemptsForError> attempts_for_error;
  /// A server that asks for a longer pause gets no further attempt: coming earlier is what it asked us not to do.
  std::chrono::nanoseconds max_retry_after = std::chrono::minutes(1);
  Random random;  ///< nothing: unpredictable_random()
};

/// Whether and when the next attempt follows.
struct RetryDecision {
  std::optional<std::chrono::nanoseconds> delay{};  ///< to the next attempt; nothing: there is none
  RetryStop stop = RetryStop::none;
};

/// The attempts of one operation so far.
struct RetryState {
  std::uint32_t failed = 0;
  std::vector<std::uint32_t> of_error{};  ///< one for each of attempts_for_error
};

/// Decides about further attempts. It knows no clock and waits for nothing: the caller does.
///
/// Threading: any thread may call; a RetryState is one operation's. Hooks: retry_if, on_retry and delay_type run inside
/// next(), so it is called under no lock.
/// Source:    avast/retry-go v5; Retry-After after RFC 9110 section 10.2.3. The pause is the longer of delay_type's and
///            the server's.
class RetryPolicy {
 public:
  explicit RetryPolicy(RetryOptions options = {});
  /// Whether another attempt follows the one that just failed, and after which pause.
  [[nodiscard]] RetryDecision next(RetryState& state, FailedAttempt failed) const;
  [[nodiscard]] const RetryOptions& options() const noexcept { return options_; }

 private:
  [[nodiscard]] RetryDecision decide(RetryState& state, const FailedAttempt& failed) const;
  RetryOptions options_;
};

/// The pause that a Retry-After field asks for; nothing if it is malformed. A date that is past is 0.
///
/// Source: RFC 9110 sections 10.2.3 (seconds or a date) and 5.6.7 (the three forms of dates). `wall_now` is since the
/// Unix epoch.
[[nodiscard]] std::optional<std::chrono::nanoseconds> parse_retry_after(std::string_view value,
                                                                        std::chrono::nanoseconds wall_now);

}  // namespace conntrace
