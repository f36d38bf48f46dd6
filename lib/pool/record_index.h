// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace conntrace::pool {

/// Finds records by a hash, which it keeps beside them: a look-up that misses touches no record, and none divides. Open
/// addressing with linear probing, at most half full.
///
/// Lifetime: the records outlive their membership; the index owns nothing.
template <class T>
class RecordIndex {
 public:
  [[nodiscard]] std::size_t size() const { return size_; }

  /// The record of this hash for which `is_it(record)` holds, or nullptr.
  template <class IsIt>
  [[nodiscard]] T* find(std::uint64_t hash, IsIt is_it) const {
    for (std::size_t at = home(hash); places_[at].record != nullptr; at = (at + 1) & mask()) {
      if (places_[at].hash == hash && is_it(*places_[at].record)) return places_[at].record;
    }
    return nullptr;
  }

  void insert(std::uint64_t hash, T& record) {
    if (2 * (size_ + 1) > places_.size()) grow();
    place(hash, record);
    ++size_;
  }

  void erase(std::uint64_t hash, const T& record) {
    std::size_t hole = home(hash);
    while (places_[hole].record != &record) hole = (hole + 1) & mask();
    // Whoever comes later in the same run and may be here moves up, so that no search stops too early.
    for (std::size_t at = (hole + 1) & mask(); places_[at].record != nullptr; at = (at + 1) & mask()) {
      const std::size_t from_home = (at - home(places_[at].hash)) & mask();
      if (from_home < ((at - hole) & mask())) continue;
      places_[hole] = places_[at];
      hole = at;
    }
    places_[hole] = {};
    --size_;
  }

  template <class Visit>
  void each(Visit visit) const {
    for (const Place& place : places_) {
      if (place.record != nullptr) visit(*place.record);
    }
  }

 private:
  struct Place {
    std::uint64_t hash = 0;
    T* record = nullptr;
  };

  [[nodiscard]] std::size_t mask() const { return places_.size() - 1; }
  // Fibonacci hashing: numbers that follow each other come to lie far apart, so that no long runs form.
  [[nodiscard]] std::size_t home(std::uint64_t hash) const { return (hash * 0x9e3779b97f4a7c15) >> shift_; }
  void place(std::uint64_t hash, T& record) {
    std::size_t at = home(hash);
    while (places_[at].record != nullptr) at = (at + 1) & mask();
    places_[at] = {hash, &record};
  }
  void grow() {
    std::vector<Place> old(2 * places_.size());
    --shift_;
    old.swap(places_);
    for (const Place& entry : old) {
      if (entry.record != nullptr) place(entry.hash, *entry.record);
    }
  }

  std::vector<Place> places_ = std::vector<Place>(16);  ///< a power of two
  unsigned shift_ = 60;                                 ///< 64 less its binary logarithm
  std::size_t size_ = 0;
};

}  // namespace conntrace::pool
