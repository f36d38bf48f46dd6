// SPDX-License-Identifier: Apache-2.0
// What an ObjectPool gains against new and delete: build/bench/object_pool_bench

#include <benchmark/benchmark.h>

#include <array>
#include <cstddef>
#include <memory>
#include <string>
#include <vector>

#include "conntrace/object_pool.h"

namespace conntrace {
namespace {

/// Uninitialized, as a receive buffer is: new does not touch it.
template <std::size_t size>
struct Buffer {
  Buffer() {}  // NOLINT(modernize-use-equals-default): = default would let T() set it to zero
  std::array<std::byte, size> bytes;
};
using Small = Buffer<64>;
using Large = Buffer<16384>;

/// A buffer that is grown and filled with zeros when it is made, as std::vector does.
struct Vector {
  std::vector<std::byte> bytes = std::vector<std::byte>(16384);
};

/// What every user does at least: writes a little at the front.
template <class T>
void touch(T& object) {
  object.bytes[0] = std::byte{1};
  benchmark::DoNotOptimize(object.bytes.data());
  benchmark::ClobberMemory();
}

/// One object at a time, taken and given back.
template <class T>
void heap_one(benchmark::State& state) {
  for (auto _ : state) {
    const std::unique_ptr<T> object(new T);
    touch(*object);
  }
}

template <class T>
ObjectPool<T>& pool() {
  static ObjectPool<T> the_pool;
  return the_pool;
}

template <class T>
void pooled_one(benchmark::State& state) {
  for (auto _ : state) {
    const Pooled<T> object = pool<T>().get();
    touch(*object);
  }
}

/// Eight at a time, as when several exchanges are under way.
template <class T>
void heap_eight(benchmark::State& state) {
  for (auto _ : state) {
    std::array<std::unique_ptr<T>, 8> objects;
    for (auto& object : objects) {
      object.reset(new T);
      touch(*object);
    }
  }
  state.SetItemsProcessed(state.iterations() * 8);
}

template <class T>
void pooled_eight(benchmark::State& state) {
  for (auto _ : state) {
    std::array<Pooled<T>, 8> objects;
    for (auto& object : objects) {
      object = pool<T>().get();
      touch(*object);
    }
  }
  state.SetItemsProcessed(state.iterations() * 8);
}

#define CONNTRACE_COMPARE(T)                                 \
  BENCHMARK_TEMPLATE(heap_one, T)->Threads(1)->Threads(8);   \
  BENCHMARK_TEMPLATE(pooled_one, T)->Threads(1)->Threads(8); \
  BENCHMARK_TEMPLATE(heap_eight, T)->Threads(1)->Threads(8); \
  BENCHMARK_TEMPLATE(pooled_eight, T)->Threads(1)->Threads(8)
CONNTRACE_COMPARE(Small);
CONNTRACE_COMPARE(Large);
CONNTRACE_COMPARE(Vector);

}  // namespace
}  // namespace conntrace

BENCHMARK_MAIN();
