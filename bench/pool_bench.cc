// SPDX-License-Identifier: Apache-2.0
// What a PoolCore costs, without sockets: build/bench/pool_bench

#include <benchmark/benchmark.h>

#include <string>

#include "pool/pool_core.h"

namespace conntrace::pool {
namespace {

std::vector<Key> make_keys(std::size_t count) {
  std::vector<Key> keys;
  for (std::size_t i = 0; i < count; ++i) keys.push_back({"", "http", "service-" + std::to_string(i) + ".local:8080"});
  return keys;
}

/// A pool with `count` idle connections to each of the keys.
void warm(PoolCore& core, const std::vector<Key>& keys, std::size_t count) {
  Actions out;
  ConnectionId connection = 0;
  for (const Key& key : keys) {
    const ConnectionId first = connection + 1;
    for (std::size_t i = 0; i < count; ++i) core.acquire(++connection, key, {}, out);
    for (ConnectionId c = first; c <= connection; ++c) core.dialled(c, {}, out);
    for (ConnectionId c = first; c <= connection; ++c) core.release(c, std::nullopt, {}, out);
    out.clear();
  }
}

Limits unlimited_idle(std::size_t per_host) {
  return {.max_idle_conns = 0, .max_idle_conns_per_host = static_cast<int>(per_host)};
}

/// One acquire and one release, the idle connections being all of one key: what a service with one upstream does.
void reuse_one_key(benchmark::State& state) {
  const auto idle = static_cast<std::size_t>(state.range(0));
  const auto keys = make_keys(1);
  PoolCore core(unlimited_idle(idle));
  warm(core, keys, idle);
  Actions out;
  MonoTime now{};
  RequestId request = 1'000'000;
  for (auto _ : state) {
    now += MonoTime(1000);
    out.clear();
    core.acquire(++request, keys[0], now, out);
    core.release(std::get<Deliver>(out.back()).connection, std::nullopt, now, out);
  }
}
BENCHMARK(reuse_one_key)->Arg(1)->Arg(10)->Arg(100)->Arg(1000)->Arg(10'000);

/// The same with one idle connection of each of so many keys, taken in turn: every access misses the cache.
void reuse_each_key(benchmark::State& state) {
  const auto keys = make_keys(static_cast<std::size_t>(state.range(0)));
  PoolCore core(unlimited_idle(1));
  warm(core, keys, 1);
  Actions out;
  MonoTime now{};
  RequestId request = 1'000'000;
  std::size_t at = 0;
  for (auto _ : state) {
    now += MonoTime(1000);
    out.clear();
    core.acquire(++request, keys[at], now, out);
    core.release(at + 1, std::nullopt, now, out);
    if (++at == keys.size()) at = 0;
  }
}
BENCHMARK(reuse_each_key)->Arg(1)->Arg(10)->Arg(100)->Arg(1000)->Arg(10'000);

/// As many requests as range(0) wait for one of range(1) connections: one hand-over and one new place in the queue.
void handoff(benchmark::State& state, Explain explain, Limits limits, bool in_turn = true) {
  const Key key = make_keys(1).front();
  const auto slots = static_cast<std::size_t>(state.range(1));
  (limits.max_total_conns != 0 ? limits.max_total_conns : limits.max_conns_per_host) = slots;
  PoolCore core(limits);
  Actions out;
  MonoTime now{};
  RequestId request = 0;
  for (std::size_t i = 0; i < slots; ++i) core.acquire(++request, key, now, out, explain);
  for (ConnectionId c = 1; c <= slots; ++c) core.dialled(c, now, out);
  for (std::int64_t i = 0; i < state.range(0); ++i) core.acquire(++request, key, now, out, explain);
  ConnectionId connection = 1;
  std::uint64_t random = 1;
  for (auto _ : state) {
    now += MonoTime(1000);
    out.clear();
    core.release(connection, std::nullopt, now, out);
    core.acquire(++request, key, now, out, explain);
    if (!in_turn) {
      random = random * 6364136223846793005 + 1442695040888963407;
      connection = 1 + (random >> 33) % slots;
    } else if (++connection > slots) {
      connection = 1;
    }
  }
}
void handoff_per_host(benchmark::State& state) { handoff(state, Explain::no, {}); }
BENCHMARK(handoff_per_host)->Args({1, 1})->Args({10, 16})->Args({100, 16})->Args({1000, 16})->Args({10'000, 16});
void handoff_total(benchmark::State& state) { handoff(state, Explain::no, {.max_total_conns = 1}); }
BENCHMARK(handoff_total)->Args({1, 1})->Args({10, 16})->Args({100, 16})->Args({1000, 16})->Args({10'000, 16});
/// With somebody who wants to know who held the slots.
void handoff_explained(benchmark::State& state) { handoff(state, Explain::yes, {}); }
BENCHMARK(handoff_explained)->Args({1, 1})->Args({48, 16})->Args({1000, 16})->Args({10'000, 16})->Args({1000, 1000});
/// The same when no two requests take equally long.
void handoff_explained_uneven(benchmark::State& state) { handoff(state, Explain::yes, {}, false); }
BENCHMARK(handoff_explained_uneven)->Args({48, 16})->Args({1000, 16})->Args({10'000, 16})->Args({1000, 1000});

/// Nothing is kept: a dial and a close for each request.
void dial_and_close(benchmark::State& state) {
  const Key key = make_keys(1).front();
  PoolCore core(Limits{.disable_keep_alives = true});
  Actions out;
  MonoTime now{};
  RequestId request = 0;
  for (auto _ : state) {
    now += MonoTime(1000);
    out.clear();
    core.acquire(++request, key, now, out);
    core.dialled(request, now, out);
    core.release(request, std::nullopt, now, out);
  }
}
BENCHMARK(dial_and_close);

}  // namespace
}  // namespace conntrace::pool

BENCHMARK_MAIN();
