// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstddef>
#include <memory>
#include <new>
#include <utility>
#include <vector>

// From <sanitizer/asan_interface.h>, which is the compiler's, not the standard's.
#if defined(__SANITIZE_ADDRESS__)
extern "C" void __asan_poison_memory_region(const volatile void* address, std::size_t size);
extern "C" void __asan_unpoison_memory_region(const volatile void* address, std::size_t size);
#endif

namespace conntrace::pool {

/// Memory for records that live long, side by side. Taken from malloc one by one, in between what lives as long as a
/// dial, each would keep a page or two from being given back. AddressSanitizer sees the use of records that went.
///
/// Threading: none; one caller at a time.
/// Lifetime:  outlives its records. Chunks that hold none go back to malloc, but for one.
template <class T>
class Slab {
 public:
  struct Delete {
    Slab* slab = nullptr;
    void operator()(T* record) const { slab->destroy(*record); }
  };
  using Ptr = std::unique_ptr<T, Delete>;

  Slab() = default;
  Slab(const Slab&) = delete;
  Slab& operator=(const Slab&) = delete;
  ~Slab() {
    for (Chunk* chunk : with_room_) delete chunk;
  }

  template <class... Args>
  [[nodiscard]] Ptr make(Args&&... args) {
    return Ptr(&create(std::forward<Args>(args)...), Delete{this});
  }
  template <class... Args>
  [[nodiscard]] T& create(Args&&... args) {
    if (with_room_.empty()) add_chunk();
    Chunk& chunk = *with_room_.back();
    Cell& cell = *chunk.free;
    show(cell);
    T& record = *::new (static_cast<void*>(cell.bytes)) T(std::forward<Args>(args)...);
    chunk.free = cell.next;
    if (++chunk.used == kCells) with_room_.pop_back();
    return record;
  }
  void destroy(T& record) {
    record.~T();
    Cell& cell = *reinterpret_cast<Cell*>(reinterpret_cast<std::byte*>(&record) - offsetof(Cell, bytes));
    Chunk& chunk = *cell.chunk;
    hide(cell);
    cell.next = chunk.free;
    chunk.free = &cell;
    if (chunk.used-- == kCells) {
      with_room_.push_back(&chunk);
    } else if (chunk.used == 0 && with_room_.size() > 1) {
      with_room_.erase(std::find(with_room_.begin(), with_room_.end(), &chunk));
      delete &chunk;
    }
  }

 private:
  struct Chunk;
  struct Cell {
    Chunk* chunk = nullptr;
    Cell* next = nullptr;  ///< while it is free
    alignas(T) std::byte bytes[sizeof(T)];
  };
  static constexpr std::size_t kCells = std::max<std::size_t>(8, 32 * 1024 / sizeof(Cell));
  struct Chunk {
    Cell* free = nullptr;
    std::size_t used = 0;
    Cell cells[kCells];
  };

  static void hide([[maybe_unused]] const Cell& cell) {
#if defined(__SANITIZE_ADDRESS__)
    __asan_poison_memory_region(cell.bytes, sizeof cell.bytes);
#endif
  }
  static void show([[maybe_unused]] const Cell& cell) {
#if defined(__SANITIZE_ADDRESS__)
    __asan_unpoison_memory_region(cell.bytes, sizeof cell.bytes);
#endif
  }

  void add_chunk() {
    auto chunk = std::make_unique<Chunk>();
    for (std::size_t i = kCells; i-- > 0;) {
      chunk->cells[i].chunk = chunk.get();
      chunk->cells[i].next = std::exchange(chunk->free, &chunk->cells[i]);
    }
    with_room_.push_back(chunk.release());
  }

  std::vector<Chunk*> with_room_;
};

}  // namespace conntrace::pool
