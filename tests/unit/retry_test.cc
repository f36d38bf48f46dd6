// SPDX-License-Identifier: Apache-2.0
#include "conntrace/retry.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <memory>
#include <thread>
#include <vector>

#include "conntrace/retry_call.h"
#include "support/fake_clock.h"

namespace conntrace {
namespace {

using namespace std::chrono_literals;
using std::chrono::nanoseconds;
using testing::FakeClock;

Error refused() { return system_error(ECONNREFUSED, "dial"); }
const Error kRefused = refused();
const Error kTimeout = make_error(Errc::timeout, "read");
const Error kHopeless = unrecoverable(make_error(Errc::invalid_request, "no host"));

/// The greatest and the least that a random delay can be.
const Random kHighest = [] { return ~std::uint64_t{0}; };
const Random kLowest = [] { return std::uint64_t{0}; };

std::vector<nanoseconds> delays(const RetryOptions& options, int count) {
  const RetryPolicy policy(options);
  RetryState state;
  std::vector<nanoseconds> delays;
  for (int i = 0; i < count; ++i) delays.push_back(policy.next(state, {.error = &kRefused}).delay.value_or(-1ns));
  return delays;
}

TEST(RetryDelay, Fixed) {
  EXPECT_EQ(delays({.delay = 20ms, .delay_type = fixed_delay}, 3), (std::vector<nanoseconds>{20ms, 20ms, 20ms}));
}

TEST(RetryDelay, ExponentialDoublesUpToTheMaximum) {
  EXPECT_EQ(delays({.delay = 10ms, .delay_type = exponential_delay}, 4),
            (std::vector<nanoseconds>{10ms, 20ms, 40ms, 80ms}));
  EXPECT_EQ(delays({.delay = 10ms, .max_delay = 35ms, .delay_type = exponential_delay}, 4),
            (std::vector<nanoseconds>{10ms, 20ms, 35ms, 35ms}));
}

TEST(RetryDelay, ExponentialStopsDoublingBeforeItOverflows) {
  for (const nanoseconds delay : {nanoseconds(1), nanoseconds(100ms), nanoseconds::max() / 2, nanoseconds::max()}) {
    const auto all = delays({.attempts = 0, .delay = delay, .delay_type = exponential_delay}, 100);
    EXPECT_EQ(all.front(), delay);
    EXPECT_TRUE(std::is_sorted(all.begin(), all.end()));
    EXPECT_GE(all.back(), nanoseconds::max() / 2);
  }
  EXPECT_EQ(delays({.attempts = 0, .delay = 0ns, .delay_type = exponential_delay}, 2),
            (std::vector<nanoseconds>{1ns, 2ns}));
}

TEST(RetryDelay, RandomIsBelowMaxJitter) {
  EXPECT_EQ(delays({.max_jitter = 50ns, .delay_type = random_delay, .random = kHighest}, 1).front(), 49ns);
  EXPECT_EQ(delays({.max_jitter = 50ns, .delay_type = random_delay, .random = kLowest}, 1).front(), 0ns);
  EXPECT_EQ(delays({.max_jitter = 0ns, .delay_type = random_delay, .random = kHighest}, 1).front(), 0ns);
}

TEST(RetryDelay, FullJitterIsBelowTwiceTheDelayAndDoubles) {
  const RetryOptions high{.delay = 100ns, .delay_type = full_jitter_delay, .random = kHighest};
  EXPECT_EQ(delays(high, 3), (std::vector<nanoseconds>{199ns, 399ns, 799ns}));
  RetryOptions capped = high;
  capped.max_delay = 300ns;
  EXPECT_EQ(delays(capped, 3), (std::vector<nanoseconds>{199ns, 299ns, 299ns}));
  capped.random = kLowest;
  EXPECT_EQ(delays(capped, 3), (std::vector<nanoseconds>{0ns, 0ns, 0ns}));
}

TEST(RetryDelay, CombinedIsTheSumAndSaturates) {
  const auto forever = [](const DelayInput&) { return nanoseconds::max(); };
  const auto negative = [](const DelayInput&) { return nanoseconds(-5s); };
  EXPECT_EQ(delays({.delay = 5ms, .delay_type = combined_delay({fixed_delay, fixed_delay, negative})}, 1).front(),
            10ms);
  EXPECT_EQ(delays({.delay_type = combined_delay({forever, fixed_delay, forever})}, 1).front(), nanoseconds::max());
  // The default: exponential and random.
  EXPECT_EQ(delays({.delay = 100ns, .max_jitter = 10ns, .random = kHighest}, 3),
            (std::vector<nanoseconds>{109ns, 209ns, 409ns}));
}

TEST(RetryDelay, SeededRandomRepeatsAndSpreadsEvenly) {
  const Random one = seeded_random(7);
  const Random same = seeded_random(7);
  for (int i = 0; i < 100; ++i) EXPECT_EQ(one(), same());
  EXPECT_NE(unpredictable_random()(), unpredictable_random()());
  std::array<int, 10> buckets{};
  const auto all = delays({.attempts = 0, .max_jitter = 10ns, .delay_type = random_delay, .random = one}, 10000);
  for (const nanoseconds delay : all) ++buckets.at(static_cast<std::size_t>(delay.count()));
  for (const int count : buckets) EXPECT_NEAR(count, 1000, 150);
}

TEST(RetryPolicy, AttemptsCountTheFirstOne) {
  const RetryPolicy policy({.attempts = 3});
  RetryState state;
  EXPECT_TRUE(policy.next(state, {.error = &kRefused}).delay);
  EXPECT_TRUE(policy.next(state, {.error = &kRefused}).delay);
  const RetryDecision last = policy.next(state, {.error = &kRefused});
  EXPECT_FALSE(last.delay);
  EXPECT_EQ(last.stop, RetryStop::attempts);
  EXPECT_EQ(state.failed, 3u);
}

TEST(RetryPolicy, StatusesAreRetriedIfListed) {
  const RetryPolicy policy;
  for (const int status : {429, 502, 503, 504}) {
    RetryState state;
    EXPECT_TRUE(policy.next(state, {.status = status}).delay) << status;
  }
  for (const int status : {200, 304, 400, 404, 500, 501}) {
    RetryState state;
    EXPECT_EQ(policy.next(state, {.status = status}).stop, RetryStop::not_retryable) << status;
  }
}

TEST(RetryPolicy, RetryIfDecidesAndUnrecoverableErrorsAreNotAskedAbout) {
  int asked = 0;
  const RetryPolicy policy({.retry_if = [&](const FailedAttempt& failed) {
    ++asked;
    return failed.error != nullptr && failed.error->code == std::errc::connection_refused;
  }});
  RetryState state;
  EXPECT_TRUE(policy.next(state, {.error = &kRefused}).delay);
  EXPECT_EQ(policy.next(state, {.error = &kTimeout}).stop, RetryStop::not_retryable);
  EXPECT_EQ(policy.next(state, {.status = 503}).stop, RetryStop::not_retryable);
  EXPECT_EQ(asked, 3);
  EXPECT_EQ(policy.next(state, {.error = &kHopeless}).stop, RetryStop::unrecoverable);
  EXPECT_EQ(asked, 3);
}

TEST(RetryPolicy, AnErrorMayGetFewerAttempts) {
  const RetryPolicy policy(
      {.attempts = 0, .attempts_for_error = {{std::errc::connection_refused, 3}, {Errc::timeout, 2}}});
  RetryState state;
  EXPECT_TRUE(policy.next(state, {.error = &kRefused}).delay);
  EXPECT_TRUE(policy.next(state, {.error = &kTimeout}).delay);
  EXPECT_TRUE(policy.next(state, {.status = 503}).delay);
  EXPECT_TRUE(policy.next(state, {.error = &kRefused}).delay) << "the count is over all attempts, not in a row";
  RetryState other = state;
  EXPECT_EQ(policy.next(other, {.error = &kTimeout}).stop, RetryStop::attempts_for_error);
  EXPECT_EQ(policy.next(state, {.error = &kRefused}).stop, RetryStop::attempts_for_error);
}

TEST(RetryPolicy, OnRetryRunsForTheLastOneTooButNotForWhatIsNotRetried) {
  std::vector<std::pair<std::uint32_t, RetryStop>> seen;
  const RetryPolicy policy({.attempts = 2, .on_retry = [&](const FailedAttempt& failed, const RetryDecision& decision) {
                              seen.emplace_back(failed.number, decision.stop);
                              EXPECT_EQ(decision.delay.has_value(), decision.stop == RetryStop::none);
                            }});
  RetryState state;
  (void)policy.next(state, {.error = &kRefused});
  (void)policy.next(state, {.error = &kRefused});
  EXPECT_EQ(seen, (std::vector<std::pair<std::uint32_t, RetryStop>>{{1, RetryStop::none}, {2, RetryStop::attempts}}));
  RetryState other;
  (void)policy.next(other, {.error = &kHopeless});
  (void)policy.next(other, {.status = 404});
  EXPECT_EQ(seen.size(), 2u);
}

TEST(RetryPolicy, ThePauseIsTheLongerOfOursAndTheServers) {
  const RetryPolicy policy({.delay = 2s, .max_delay = 3s, .delay_type = fixed_delay, .max_retry_after = 10s});
  const auto pause = [&](nanoseconds asked) {
    RetryState state;
    return policy.next(state, {.status = 503, .retry_after = asked});
  };
  EXPECT_EQ(pause(0s).delay, 2s);
  EXPECT_EQ(pause(1s).delay, 2s);
  EXPECT_EQ(pause(5s).delay, 5s) << "max_delay is about our own pauses";
  EXPECT_EQ(pause(10s).delay, 10s);
  EXPECT_EQ(pause(10s + 1ns).stop, RetryStop::retry_after_too_long);
}

TEST(RetryPolicy, ManyThreadsShareOne) {
  const RetryPolicy policy({.attempts = 0, .attempts_for_error = {{Errc::timeout, 1000000}}});
  std::vector<std::jthread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      RetryState state;
      for (int i = 0; i < 1000; ++i) EXPECT_TRUE(policy.next(state, {.error = &kTimeout}).delay);
    });
  }
}

/// Moves its clock whenever somebody sleeps, so that retry() may run on the test's own thread.
struct RetryTest : ::testing::Test {
  FakeClock clock;
  const MonoTime start = clock.now();
  std::jthread mover{[this](const std::stop_token& stop) {
    while (!stop.stop_requested()) {
      if (!clock.advance_to_next()) std::this_thread::yield();
    }
  }};
  const RetryPolicy policy{RetryOptions{.attempts = 4, .delay = 1s, .delay_type = exponential_delay}};
};

TEST_F(RetryTest, ReturnsTheFirstSuccess) {
  int calls = 0;
  const auto result = retry(policy, clock, [&]() -> Result<std::unique_ptr<int>> {
    if (++calls < 3) return Failure(refused());
    return std::make_unique<int>(calls);
  });
  ASSERT_TRUE(result);
  EXPECT_EQ(**result, 3);
  EXPECT_EQ(clock.now() - start, 3s) << "1 s and 2 s";
}

TEST_F(RetryTest, ListsTheErrorsOfAllAttempts) {
  int calls = 0;
  const auto result = retry(policy, clock, [&]() -> Result<void> {
    return Failure(++calls % 2 == 1 ? refused() : make_error(Errc::timeout, "read"));
  });
  ASSERT_FALSE(result);
  EXPECT_EQ(calls, 4);
  EXPECT_EQ(clock.now() - start, 7s) << "no pause after the last";
  EXPECT_EQ(result.error().errors.size(), 4u);
  EXPECT_EQ(result.error().stop, RetryStop::attempts);
  EXPECT_EQ(result.error().last().code, Errc::timeout);
  EXPECT_TRUE(result.error().contains(std::errc::connection_refused));
  EXPECT_FALSE(result.error().contains(std::errc::permission_denied));
  EXPECT_EQ(result.error().message(),
            "gave up (attempts); #1 dial: Connection refused; #2 read: timed out; "
            "#3 dial: Connection refused; #4 read: timed out");
  EXPECT_EQ(result.error().to_error().message(), "attempt 4: read: timed out");
}

TEST_F(RetryTest, AnUnrecoverableErrorEndsIt) {
  int calls = 0;
  const auto result = retry(policy, clock, [&]() -> Result<int> {
    ++calls;
    return Failure(kHopeless);
  });
  EXPECT_EQ(calls, 1);
  EXPECT_EQ(result.error().stop, RetryStop::unrecoverable);
  EXPECT_EQ(clock.now(), start);
}

TEST_F(RetryTest, AnAttemptMayPassOnWhatTheServerAsksFor) {
  int calls = 0;
  const auto result = retry(policy, clock, [&](RetryHint& hint) -> Result<int> {
    if (++calls == 2) return calls;
    hint = {.status = 503, .retry_after = 30s};
    return Failure(make_error(Errc::protocol_error, "503"));
  });
  EXPECT_TRUE(result);
  EXPECT_EQ(clock.now() - start, 30s);
}

TEST_F(RetryTest, NoAttemptBeginsAtTheDeadline) {
  int calls = 0;
  const auto attempt = [&]() -> Result<int> {
    ++calls;
    return Failure(refused());
  };
  const auto result = retry(policy, clock, attempt, {.deadline = start + 3s});
  EXPECT_EQ(calls, 2);
  EXPECT_EQ(result.error().stop, RetryStop::deadline);
  EXPECT_EQ(result.error().last().code, std::errc::connection_refused);
  EXPECT_EQ(clock.now() - start, 1s) << "it does not wait for what it will not do";

  const auto late = retry(policy, clock, attempt, {.deadline = start});
  EXPECT_EQ(calls, 2);
  EXPECT_EQ(late.error().last().code, Errc::timeout);
}

TEST_F(RetryTest, AStopEndsThePauseAndForbidsTheFirstAttempt) {
  std::stop_source stop;
  int calls = 0;
  const auto attempt = [&]() -> Result<int> {
    ++calls;
    stop.request_stop();
    return Failure(refused());
  };
  const auto result = retry(policy, clock, attempt, {.stop = stop.get_token()});
  EXPECT_EQ(calls, 1);
  EXPECT_EQ(result.error().stop, RetryStop::cancelled);
  EXPECT_EQ(result.error().last().code, std::errc::connection_refused);
  const auto never = retry(policy, clock, attempt, {.stop = stop.get_token()});
  EXPECT_EQ(calls, 1);
  EXPECT_EQ(never.error().last().code, Errc::cancelled);
}

TEST_F(RetryTest, AttemptsWithoutEndDoNotFillTheMemory) {
  const RetryPolicy forever({.attempts = 0, .delay = 1ms, .delay_type = fixed_delay});
  int calls = 0;
  const auto result =
      retry(forever, clock, [&]() -> Result<void> { return Failure(++calls == 100 ? kHopeless : refused()); });
  EXPECT_EQ(result.error().errors.size(), 32u);
  EXPECT_EQ(result.error().forgotten, 68u);
  EXPECT_EQ(result.error().to_error().message(), "attempt 100: no host: the request cannot be sent as it is");
  EXPECT_NE(result.error().message().find("; #100 no host"), std::string::npos);
}

}  // namespace
}  // namespace conntrace
