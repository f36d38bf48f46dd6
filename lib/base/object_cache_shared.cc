// SPDX-License-Identifier: Apache-2.0
// What all threads share of an ObjectPool, and its end.
#include <algorithm>
#include <utility>

#include "base/object_cache.h"

namespace conntrace::detail {

std::size_t Cache::room() const {
  const std::size_t used = quotas_ + shared_.size();
  return used < max_idle_ ? max_idle_ - used : 0;
}

void Cache::push_shared(void* object) {
  shared_.push_back(object);  // within what was reserved
  shared_size_.store(shared_.size(), std::memory_order_relaxed);
}

/// Sets more aside for the thread, if others left it. Half of max_idle stays for all.
void Cache::grow(Local& local) {
  const std::size_t left = quotas_ < max_idle_ / 2 ? max_idle_ / 2 - quotas_ : 0;
  const std::size_t more = std::min({max_per_thread_ - local.quota, left, room()});
  local.quota += more;
  quotas_ += more;
}

/// Some of the shared ones become the thread's.
void Cache::refill(Local& local) {
  const std::lock_guard lock(mutex_);
  const std::size_t count = std::min(std::max<std::size_t>(local.quota / 2, 1), shared_.size());
  local.idle.insert(local.idle.end(), shared_.end() - static_cast<std::ptrdiff_t>(count), shared_.end());
  shared_.resize(shared_.size() - count);
  shared_size_.store(shared_.size(), std::memory_order_relaxed);
}

/// The older half of what a full thread keeps becomes shared. False: there is no room.
bool Cache::make_room(Local& local) {
  const std::lock_guard lock(mutex_);
  if (closed_) return false;
  grow(local);
  if (local.idle.size() < local.quota) return true;
  const std::size_t count = std::min((local.quota + 1) / 2, room());
  const auto end = local.idle.begin() + static_cast<std::ptrdiff_t>(count);
  std::for_each(local.idle.begin(), end, [this](void* object) { push_shared(object); });
  local.idle.erase(local.idle.begin(), end);
  return count > 0;
}

/// Returns what there is no room for.
void* Cache::share(void* object) {
  const std::lock_guard lock(mutex_);
  if (closed_ || room() == 0) return object;
  push_shared(object);
  return nullptr;
}

void* Cache::take_shared() {
  const std::lock_guard lock(mutex_);
  ++counts_.out;
  ++(shared_.empty() ? counts_.misses : counts_.hits);
  if (shared_.empty()) return nullptr;
  void* const object = shared_.back();
  shared_.pop_back();
  shared_size_.store(shared_.size(), std::memory_order_relaxed);
  return object;
}

void Cache::give_shared(void* object, bool keep) noexcept {
  {
    const std::lock_guard lock(mutex_);
    ++counts_.returned;
    if (keep && !closed_ && room() > 0) {
      push_shared(std::exchange(object, nullptr));
    } else {
      ++counts_.dropped;
    }
  }
  if (object != nullptr) destroy_(object);
  bool last = false;
  {
    const std::lock_guard lock(mutex_);
    --counts_.out;
    last = summed_ && counts_.out == 0;
  }
  if (last) delete this;
}

void Cache::close() noexcept {
  std::vector<std::shared_ptr<Local>> locals;
  std::vector<void*> idle;
  {
    const std::lock_guard lock(mutex_);
    closed_ = true;
    locals.swap(locals_);
    idle.swap(shared_);
    shared_size_ = 0;
  }
  for (void* object : idle) destroy_(object);
  std::int64_t out = 0;
  for (const auto& local : locals) {
    std::vector<void*> theirs;
    {
      const std::lock_guard lock(local->lock);
      if (local->owner == nullptr) continue;  // its thread ended meanwhile and left its counts here
      local->owner = nullptr;
      theirs.swap(local->idle);
      out += local->counts.out;
    }
    for (void* object : theirs) destroy_(object);
  }
  bool last = false;
  {
    const std::lock_guard lock(mutex_);
    counts_.out += out;
    summed_ = true;
    last = counts_.out == 0;
  }
  if (last) delete this;
}

void Cache::retire(Local& local) noexcept {
  const std::lock_guard lock(mutex_);
  counts_ += local.counts;
  quotas_ -= local.quota;
  local.owner = nullptr;
  if (closed_) return;
  while (!local.idle.empty() && room() > 0) {
    push_shared(local.idle.back());
    local.idle.pop_back();
  }
  counts_.dropped += local.idle.size();
  std::erase_if(locals_, [&](const auto& one) { return one.get() == &local; });
}

ObjectPoolStats Cache::stats() const {
  std::vector<std::shared_ptr<Local>> locals;
  Counts sum;
  std::size_t idle = 0;
  {
    const std::lock_guard lock(mutex_);
    locals = locals_;
    sum = counts_;
    idle = shared_.size();
  }
  for (const auto& local : locals) {
    const std::lock_guard lock(local->lock);
    sum += local->counts;
    idle += local->idle.size();
  }
  return {.hits = sum.hits,
          .misses = sum.misses,
          .returned = sum.returned,
          .dropped = sum.dropped,
          .in_use = static_cast<std::size_t>(std::max<std::int64_t>(sum.out, 0)),
          .idle = idle};
}

}  // namespace conntrace::detail
