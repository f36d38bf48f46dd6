// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <type_traits>
#include <utility>

namespace conntrace {

/// What happened in an ObjectPool. Each number is right for its moment; they add up when nobody uses the pool
/// meanwhile: hits + misses = returned + in_use.
struct ObjectPoolStats {
  std::uint64_t hits = 0;      ///< objects handed out again
  std::uint64_t misses = 0;    ///< objects made, because none was idle within the thread's reach
  std::uint64_t returned = 0;  ///< objects given back
  std::uint64_t dropped = 0;   ///< of those, destroyed: no room, or reset said so
  std::size_t in_use = 0;
  std::size_t idle = 0;
};

namespace detail {

/// The untyped part of an ObjectPool: idle objects, those of each thread apart.
class ObjectCache {
 public:
  using Reset = std::function<bool(void*)>;
  using Destroy = void (*)(void*) noexcept;

  [[nodiscard]] static ObjectCache* make(std::size_t max_per_thread, std::size_t max_idle, Reset reset,
                                         Destroy destroy);
  /// An idle object; nullptr if the caller must make one. Counts it as in use either way.
  [[nodiscard]] void* take();
  /// The caller could not make one.
  void not_taken() noexcept;
  void give(void* object) noexcept;
  /// The pool ends: destroys what is idle. The cache destroys itself when the last object was given back.
  void close() noexcept;
  [[nodiscard]] ObjectPoolStats stats() const;

 protected:
  ObjectCache() = default;
  ~ObjectCache() = default;
};

}  // namespace detail

/// An object on loan from an ObjectPool; gives it back when destroyed, on any thread, also after the pool's end.
template <class T>
class Pooled {
 public:
  Pooled() = default;
  Pooled(T* object, detail::ObjectCache* cache) noexcept : object_(object), cache_(cache) {}
  ~Pooled() { reset(); }
  Pooled(Pooled&& other) noexcept : object_(std::exchange(other.object_, nullptr)), cache_(other.cache_) {}
  Pooled& operator=(Pooled&& other) noexcept {
    if (this != &other) {
      reset();
      object_ = std::exchange(other.object_, nullptr);
      cache_ = other.cache_;
    }
    return *this;
  }
  Pooled(const Pooled&) = delete;
  Pooled& operator=(const Pooled&) = delete;

  [[nodiscard]] T* get() const noexcept { return object_; }
  [[nodiscard]] T& operator*() const noexcept { return *object_; }
  [[nodiscard]] T* operator->() const noexcept { return object_; }
  [[nodiscard]] explicit operator bool() const noexcept { return object_ != nullptr; }
  /// Gives it back now.
  void reset() noexcept {
    if (object_ != nullptr) cache_->give(std::exchange(object_, nullptr));
  }

 private:
  T* object_ = nullptr;
  detail::ObjectCache* cache_ = nullptr;
};

template <class T>
struct ObjectPoolOptions {
  std::size_t max_per_thread = 16;  ///< idle ones that only their thread reaches
  std::size_t max_idle = 256;       ///< in all. Up to half of them are the threads', the rest is shared by all
  std::function<std::unique_ptr<T>()> create{};  ///< nothing: T()
  /// Makes an object as good as new when it is given back; false (or an exception): destroy it instead. May run on any
  /// thread until the last object is back, so it refers to nothing that may be gone by then.
  std::function<bool(T&)> reset{};
};

/// Keeps objects that cost something to make (buffers, handles), bounded; a thread mostly meets only its own.
///
/// Threading: any thread may get and give back; create, reset and destructors of T run under no lock.
/// Lifetime:  loans may outlive the pool: the object is destroyed when it comes back. What a thread kept goes to the
///            others when the thread ends, and is destroyed when the pool ends, whichever threads still run.
/// Errors:    what `create` throws, and bad_alloc.
/// Source:    Go's sync.Pool, but bounded, counted, and not emptied at any time without notice.
template <class T>
class ObjectPool {
 public:
  explicit ObjectPool(ObjectPoolOptions<T> options = {})
      : create_(std::move(options.create)),
        cache_(detail::ObjectCache::make(options.max_per_thread, options.max_idle, untyped(std::move(options.reset)),
                                         [](void* object) noexcept { delete static_cast<T*>(object); })) {}
  ~ObjectPool() { cache_->close(); }
  ObjectPool(const ObjectPool&) = delete;
  ObjectPool& operator=(const ObjectPool&) = delete;

  /// An idle object, or a new one. Not while or after the pool is destroyed.
  [[nodiscard]] Pooled<T> get() {
    if (void* idle = cache_->take()) return {static_cast<T*>(idle), cache_};
    try {
      return {make().release(), cache_};
    } catch (...) {
      cache_->not_taken();
      throw;
    }
  }
  [[nodiscard]] ObjectPoolStats stats() const { return cache_->stats(); }

 private:
  std::unique_ptr<T> make() {
    if constexpr (std::is_default_constructible_v<T>) {
      if (!create_) return std::make_unique<T>();
    }
    return create_();
  }
  static detail::ObjectCache::Reset untyped(std::function<bool(T&)> reset) {
    if (!reset) return nullptr;
    return [reset = std::move(reset)](void* object) { return reset(*static_cast<T*>(object)); };
  }

  const std::function<std::unique_ptr<T>()> create_;
  detail::ObjectCache* const cache_;  ///< owns itself: it lives until the last loan is back
};

}  // namespace conntrace
