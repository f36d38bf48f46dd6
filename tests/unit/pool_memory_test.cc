// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <cstdlib>
#include <new>

#include "pool/host_table.h"
#include "pool_script.h"

namespace {
std::size_t allocations = 0;
}  // namespace

// Counts what this program allocates; the sanitizers' own allocator is below malloc and keeps working.
void* operator new(std::size_t size) {
  ++allocations;
  if (void* memory = std::malloc(size)) return memory;
  throw std::bad_alloc();
}
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }

namespace conntrace::pool {
namespace {

Key host(std::size_t number) { return {"", "http", fmt::format("host{}:80", number)}; }

TEST(PoolMemory, ReuseAllocatesNothing) {
  constexpr std::size_t kHosts = 8;
  PoolCore core(Limits{.max_idle_conns_per_host = 4});
  Actions out;
  std::vector<Key> keys;
  MonoTime now{};
  RequestId request = 0;
  for (std::size_t i = 0; i < kHosts; ++i) {
    keys.push_back(host(i));
    core.acquire(++request, keys[i], now, out);
    core.dialled(i + 1, now, out);
    core.release(i + 1, std::nullopt, now, out);
  }
  const std::size_t before = allocations;
  for (int i = 0; i < 10'000; ++i) {
    now += std::chrono::microseconds(10);
    out.clear();
    core.acquire(++request, keys[i % kHosts], now, out);
    ASSERT_EQ(std::get<Deliver>(out[0]).connection, i % kHosts + 1);
    core.release(i % kHosts + 1, std::nullopt, now, out);
  }
  EXPECT_EQ(allocations, before);
  out.clear();
  core.acquire(++request, host(kHosts), now, out);
  EXPECT_GT(allocations, before) << "a dial allocates, or nothing is counted here";
}

TEST(PoolMemory, UnusedHostsAreForgottenButForTheLast) {
  const Limits limits;
  HostTable hosts(limits);
  for (std::size_t i = 0; i < 10'000; ++i) {
    Host& used = hosts.get(host(i));
    used.recent.remember(i, CloseReason::idle_timeout);
    hosts.drop_if_unused(used);
    ASSERT_LE(hosts.size(), HostTable::kRemembered);
  }
  EXPECT_EQ(hosts.size(), HostTable::kRemembered);
  for (std::size_t i = 0; i < 10'000; ++i) {
    hosts.drop_if_unused(hosts.get(host(20'000 + i)));
    ASSERT_LE(hosts.size(), HostTable::kRemembered) << "one with nothing to remember goes at once";
  }
  EXPECT_EQ(hosts.get(host(9'999)).recent.size(), 1u);
  EXPECT_EQ(hosts.get(host(0)).recent.size(), 0u);
}

TEST(PoolMemory, AnOccupancyLogIsBoundedAndSaysWhatItLost) {
  constexpr auto kCapacity = OccupancyLog::kCapacity;
  OccupancyLog log;
  std::vector<OccupancyLog::Mark> marks;
  const auto kept_since = [&](std::size_t index) {
    const auto kept = log.since(marks[index]);
    for (std::size_t i = 1; i < kept.size(); ++i) EXPECT_LT(kept[i - 1].occupancy.request, kept[i].occupancy.request);
    return std::pair(log.complete_since(marks[index]), kept.size());
  };
  for (std::size_t i = 0; i < kCapacity; ++i) {  // the longer ones are the older
    marks.push_back(log.mark());
    log.append({.request = i, .from = MonoTime(i), .to = MonoTime(2 * kCapacity)});
  }
  EXPECT_EQ(kept_since(0), std::pair(true, kCapacity));
  marks.push_back(log.mark());
  log.append({.request = kCapacity, .to = MonoTime(1)});
  EXPECT_EQ(kept_since(0), std::pair(false, kCapacity / 2 + 1));
  EXPECT_EQ(kept_since(kCapacity - 1), std::pair(false, std::size_t{1})) << "the last that was dropped";
  EXPECT_EQ(kept_since(kCapacity), std::pair(true, std::size_t{1}));
  log.forget_before(marks[kCapacity]);
  EXPECT_EQ(kept_since(0), std::pair(false, std::size_t{1}));
}

TEST(PoolMemory, ManyKeysAreForgottenButForTheLast) {
  PoolScript pool({.max_idle_conns = 10});
  constexpr RequestId kKeys = 5000;
  for (RequestId r = 1; r <= kKeys; ++r) pool.warm(1, host(r).authority);
  EXPECT_EQ(pool.counts(), "10/0/0/0");
  EXPECT_EQ(pool.acquire(1, host(1)), fmt::format("dial c{} r1 no_idle", kKeys + 1)) << "too long ago to remember";
  EXPECT_EQ(pool.acquire(2, host(kKeys - 10)),
            fmt::format("dial c{} r2 idle_evicted c{}:idle_evicted", kKeys + 2, kKeys - 10));
}

}  // namespace
}  // namespace conntrace::pool
