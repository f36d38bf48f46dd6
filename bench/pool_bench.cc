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

/// An idle connection is there: one acquire and one release.
void reuse(benchmark::State& state) {
  const auto keys = make_keys(static_cast<std::size_t>(state.range(0)));
  PoolCore core(Limits{.max_idle_conns = 0});
  Actions out;
  MonoTime now{};
  RequestId request = 0;
  for (std::size_t i = 0; i < keys.size(); ++i) {
    core.acquire(++request, keys[i], now, out);
    core.dialled(i + 1, now, out);
    core.release(i + 1, std::nullopt, now, out);
  }
  std::size_t at = 0;
  for (auto _ : state) {
    now += MonoTime(1000);
    out.clear();
    core.acquire(++request, keys[at], now, out);
    core.release(at + 1, std::nullopt, now, out);
    if (++at == keys.size()) at = 0;
  }
}
BENCHMARK(reuse)->Arg(1)->Arg(16)->Arg(1000);

/// As many requests as range(0) wait for one of range(1) connections: one hand-over and one new place in the queue.
void handoff(benchmark::State& state) {
  const Key key = make_keys(1).front();
  const auto slots = static_cast<std::size_t>(state.range(1));
  PoolCore core(Limits{.max_conns_per_host = slots});
  Actions out;
  MonoTime now{};
  RequestId request = 0;
  for (std::size_t i = 0; i < slots; ++i) core.acquire(++request, key, now, out);
  for (ConnectionId c = 1; c <= slots; ++c) core.dialled(c, now, out);
  for (std::int64_t i = 0; i < state.range(0); ++i) core.acquire(++request, key, now, out);
  ConnectionId connection = 1;
  for (auto _ : state) {
    now += MonoTime(1000);
    out.clear();
    core.release(connection, std::nullopt, now, out);
    core.acquire(++request, key, now, out);
    if (++connection > slots) connection = 1;
  }
}
BENCHMARK(handoff)->Args({1, 1})->Args({48, 16})->Args({1000, 16});

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
