// SPDX-License-Identifier: Apache-2.0
#include "base/object_cache.h"

#include <algorithm>
#include <new>
#include <utility>

namespace conntrace::detail {
namespace {

/// The Locals of a thread, one for each pool that it met.
struct ThreadCaches {
  struct Entry {
    std::uint64_t pool;
    std::shared_ptr<Local> local;
  };
  std::vector<Entry> entries;
  ~ThreadCaches();
};

/// What can be asked without a look at whether the thread has made its ThreadCaches, or destroyed them.
struct Latest {
  std::uint64_t pool = 0;  ///< 0: none
  Local* local = nullptr;
  bool thread_ended = false;
};

constinit thread_local Latest latest;
thread_local ThreadCaches thread_caches;
std::atomic<std::uint64_t> last_pool{0};

ThreadCaches::~ThreadCaches() {
  latest = {.thread_ended = true};
  for (const Entry& entry : entries) {
    ObjectCache::Destroy destroy = nullptr;
    {
      const std::lock_guard lock(entry.local->lock);
      if (entry.local->owner == nullptr) continue;
      destroy = entry.local->owner->destroy();
      entry.local->owner->retire(*entry.local);
    }
    for (void* object : entry.local->idle) destroy(object);
  }
}

}  // namespace

Cache::Cache(std::size_t max_per_thread, std::size_t max_idle, Reset reset, Destroy destroy)
    : id_(++last_pool),
      max_per_thread_(max_per_thread),
      max_idle_(max_idle),
      reset_(std::move(reset)),
      destroy_(destroy) {
  shared_.reserve(max_idle_);
}

void* Cache::take() {
  Local* const local = find_local();
  if (local == nullptr) return take_shared();
  const std::lock_guard lock(local->lock);
  ++local->counts.out;
  if (local->idle.empty() && shared_size_.load(std::memory_order_relaxed) != 0) refill(*local);
  if (local->idle.empty()) {
    ++local->counts.misses;
    return nullptr;
  }
  ++local->counts.hits;
  void* const object = local->idle.back();
  local->idle.pop_back();
  return object;
}

void Cache::not_taken() noexcept {
  const std::lock_guard lock(mutex_);
  --counts_.misses;
  --counts_.out;
}

void Cache::give(void* object) noexcept {
  const Destroy destroy = destroy_;  // once the object is counted as given back, the cache may be gone
  const bool keep = may_keep(object);
  Local* const local = find_local();
  if (local == nullptr) return give_shared(object, keep);
  {
    std::unique_lock lock(local->lock);
    if (local->owner == nullptr) {
      lock.unlock();
      return give_shared(object, keep);
    }
    ++local->counts.returned;
    --local->counts.out;
    if (keep && (local->idle.size() < local->quota || make_room(*local))) {
      local->idle.push_back(std::exchange(object, nullptr));
    } else if (keep && local->quota == 0) {
      object = share(object);
    }
    if (object != nullptr) ++local->counts.dropped;
  }
  if (object != nullptr) destroy(object);
}

bool Cache::may_keep(void* object) noexcept {
  try {
    return !reset_ || reset_(object);
  } catch (...) {
    return false;
  }
}

/// nullptr: the thread is ending, the pool has ended, or there is no memory.
Local* Cache::find_local() noexcept { return latest.pool == id_ ? latest.local : find_or_add_local(); }

Local* Cache::find_or_add_local() noexcept {
  if (latest.thread_ended) return nullptr;
  Local* found = nullptr;
  for (const ThreadCaches::Entry& entry : thread_caches.entries) {
    if (entry.pool == id_) found = entry.local.get();
  }
  try {
    if (found == nullptr) found = add_local();
  } catch (const std::bad_alloc&) {
    return nullptr;
  }
  if (found != nullptr) latest = {.pool = id_, .local = found};
  return found;
}

Local* Cache::add_local() {
  auto local = std::make_shared<Local>();
  local->idle.reserve(max_per_thread_);
  auto& entries = thread_caches.entries;
  latest = {};  // it may be of a pool that ended
  std::erase_if(entries, [](const ThreadCaches::Entry& entry) {
    const std::lock_guard lock(entry.local->lock);
    return entry.local->owner == nullptr;
  });
  entries.reserve(entries.size() + 1);
  {
    const std::lock_guard lock(mutex_);
    if (closed_) return nullptr;
    locals_.push_back(local);
    local->owner = this;
    grow(*local);
  }
  entries.push_back({id_, local});
  return local.get();
}

ObjectCache* ObjectCache::make(std::size_t max_per_thread, std::size_t max_idle, Reset reset, Destroy destroy) {
  return new Cache(max_per_thread, max_idle, std::move(reset), destroy);
}
void* ObjectCache::take() { return static_cast<Cache*>(this)->take(); }
void ObjectCache::not_taken() noexcept { static_cast<Cache*>(this)->not_taken(); }
void ObjectCache::give(void* object) noexcept { static_cast<Cache*>(this)->give(object); }
void ObjectCache::close() noexcept { static_cast<Cache*>(this)->close(); }
ObjectPoolStats ObjectCache::stats() const { return static_cast<const Cache*>(this)->stats(); }

}  // namespace conntrace::detail
