// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <utility>
#include <vector>

#include "pool/record_index.h"

namespace conntrace::pool {

/// Records by their number, at addresses that stay. Numbers are given one after the other, so each is its own hash.
/// The memory of a few records that went is kept for those that come: a queue in which one comes for each that goes
/// allocates nothing.
template <class T>
class RecordTable {
 public:
  RecordTable() = default;
  RecordTable(const RecordTable&) = delete;
  RecordTable& operator=(const RecordTable&) = delete;
  ~RecordTable() {
    index_.each([](T& record) { delete &record; });
  }

  [[nodiscard]] T* find(std::uint64_t number) const {
    return index_.find(number, [](const T&) { return true; });
  }
  /// The number must be new.
  T& make(std::uint64_t number) {
    std::unique_ptr<T> record;
    if (spare_.empty()) {
      record = std::make_unique<T>();
    } else {
      record = std::move(spare_.back());
      spare_.pop_back();
    }
    index_.insert(number, *record);
    return *record.release();
  }
  void erase(std::uint64_t number, T& record) {
    index_.erase(number, record);
    std::unique_ptr<T> gone(&record);
    if (spare_.size() == kSpare) return;
    std::destroy_at(gone.get());
    std::construct_at(gone.get());
    spare_.push_back(std::move(gone));
  }

 private:
  static constexpr std::size_t kSpare = 64;

  RecordIndex<T> index_;
  std::vector<std::unique_ptr<T>> spare_;
};

}  // namespace conntrace::pool
