// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <stop_token>
#include <string>
#include <type_traits>
#include <utility>

#include "conntrace/clock.h"
#include "conntrace/retry.h"

namespace conntrace {

/// Why an operation was given up, with the error of each attempt.
struct RetryError {
  std::vector<Error> errors;    ///< in the order of the attempts; never empty. The newest 32
  std::uint64_t forgotten = 0;  ///< older ones
  RetryStop stop = RetryStop::none;

  /// Of the last attempt; if there was none, why not (cancelled, timeout).
  [[nodiscard]] const Error& last() const { return errors.back(); }
  /// The last, for a Result; its context says how many attempts there were.
  [[nodiscard]] Error to_error() const;
  /// All of them, one line, for people.
  [[nodiscard]] std::string message() const;
  /// Whether one of them has a code that equals `condition`.
  [[nodiscard]] bool contains(std::error_condition condition) const;
};

/// Until when to try.
struct RetryUntil {
  MonoTime deadline = MonoTime::max();  ///< of the given clock; no attempt begins then or later
  std::stop_token stop{};
};

/// What an attempt may tell besides its error.
struct RetryHint {
  int status = 0;
  std::optional<std::chrono::nanoseconds> retry_after{};
};

namespace detail {

class RetryRun {
 public:
  RetryRun(const RetryPolicy& policy, Clock& clock, RetryUntil until)
      : policy_(policy), clock_(clock), until_(std::move(until)) {}
  [[nodiscard]] bool may_begin();
  [[nodiscard]] bool wait_for_next(Error error, const RetryHint& hint);
  [[nodiscard]] RetryError take_error() { return std::move(error_); }

 private:
  const RetryPolicy& policy_;
  Clock& clock_;
  const RetryUntil until_;
  RetryState state_;
  RetryError error_;
};

template <class Attempt>
decltype(auto) call_attempt(Attempt& attempt, RetryHint& hint) {
  if constexpr (std::is_invocable_v<Attempt&, RetryHint&>) {
    return attempt(hint);
  } else {
    return attempt();
  }
}

}  // namespace detail

/// Calls `attempt`, which returns a Result<T> and may take a RetryHint&, until it succeeds or `policy` gives up.
///
/// Blocking: pauses by `clock` between attempts; `until.stop` ends a pause, but not an attempt.
/// Errors:   RetryError.
template <class Attempt>
[[nodiscard]] auto retry(const RetryPolicy& policy, Clock& clock, Attempt&& attempt, RetryUntil until = {}) {
  using Value =
      typename std::remove_cvref_t<decltype(detail::call_attempt(attempt, std::declval<RetryHint&>()))>::value_type;
  using Outcome = tl::expected<Value, RetryError>;
  detail::RetryRun run(policy, clock, std::move(until));
  bool again = run.may_begin();
  while (again) {
    RetryHint hint;
    auto result = detail::call_attempt(attempt, hint);
    if (result) {
      if constexpr (std::is_void_v<Value>) {
        return Outcome();
      } else {
        return Outcome(*std::move(result));
      }
    }
    again = run.wait_for_next(std::move(result.error()), hint);
  }
  return Outcome(tl::unexpect, run.take_error());
}

}  // namespace conntrace
