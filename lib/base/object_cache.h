// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "conntrace/object_pool.h"

namespace conntrace::detail {

class Cache;

/// A lock that nearly always is free: half the price of a std::mutex then.
class SpinLock {
 public:
  void lock() noexcept {
    while (locked_.test_and_set(std::memory_order_acquire)) std::this_thread::yield();
  }
  void unlock() noexcept { locked_.clear(std::memory_order_release); }

 private:
  std::atomic_flag locked_;
};

struct Counts {
  std::uint64_t hits = 0;
  std::uint64_t misses = 0;
  std::uint64_t returned = 0;
  std::uint64_t dropped = 0;
  std::int64_t out = 0;  ///< taken here less given back here; objects move between threads, so it may be negative

  Counts& operator+=(const Counts& other) {
    hits += other.hits;
    misses += other.misses;
    returned += other.returned;
    dropped += other.dropped;
    out += other.out;
    return *this;
  }
};

/// What one thread keeps for one pool. Only stats() and close() take its lock besides that thread.
/// Order of locks: a Local's before its Cache's.
struct Local {
  SpinLock lock;
  Cache* owner = nullptr;  ///< nullptr when the pool, or the thread, has ended
  std::vector<void*> idle;
  std::size_t quota = 0;  ///< of max_idle, set aside for `idle`
  Counts counts;
};

/// ObjectCache as it is. Its life: the pool holds it until close(), each loan until it is given back.
class Cache final : public ObjectCache {
 public:
  Cache(std::size_t max_per_thread, std::size_t max_idle, Reset reset, Destroy destroy);

  [[nodiscard]] void* take();
  void not_taken() noexcept;
  void give(void* object) noexcept;
  void close() noexcept;
  [[nodiscard]] ObjectPoolStats stats() const;

  /// The thread of `local`, whose lock is held, ends: what it kept goes to the others. What there is no room for is
  /// left in `local.idle`, for the caller to destroy.
  void retire(Local& local) noexcept;
  [[nodiscard]] Destroy destroy() const noexcept { return destroy_; }

 private:
  [[nodiscard]] bool may_keep(void* object) noexcept;
  [[nodiscard]] Local* find_local() noexcept;
  [[nodiscard]] Local* find_or_add_local() noexcept;
  [[nodiscard]] Local* add_local();

  // Take the mutex.
  void refill(Local& local);
  [[nodiscard]] bool make_room(Local& local);
  [[nodiscard]] void* share(void* object);
  [[nodiscard]] void* take_shared();
  void give_shared(void* object, bool keep) noexcept;

  // The mutex is held.
  [[nodiscard]] std::size_t room() const;
  void push_shared(void* object);
  void grow(Local& local);

  const std::uint64_t id_;
  const std::size_t max_per_thread_;
  const std::size_t max_idle_;
  const Reset reset_;
  const Destroy destroy_;
  std::atomic<std::size_t> shared_size_{0};  ///< so that a miss need not take the mutex to see that there is nothing

  mutable std::mutex mutex_;
  std::vector<std::shared_ptr<Local>> locals_;
  std::vector<void*> shared_;
  std::size_t quotas_ = 0;  ///< of all Locals; quotas_ + shared_.size() <= max_idle_
  Counts counts_;           ///< of threads that ended, and of what was done without a Local
  bool closed_ = false;
  bool summed_ = false;  ///< counts_.out is of all; at 0 the cache is done
};

}  // namespace conntrace::detail
