// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "pool/record_index.h"
#include "pool/slab.h"

namespace conntrace::pool {

/// Records by their number, at addresses that stay. Numbers are given one after the other, so each is its own hash.
/// A queue in which one record comes for each that goes allocates nothing.
template <class T>
class RecordTable {
 public:
  RecordTable() = default;
  RecordTable(const RecordTable&) = delete;
  RecordTable& operator=(const RecordTable&) = delete;
  ~RecordTable() {
    index_.each([this](T& record) { memory_.destroy(record); });
  }

  [[nodiscard]] T* find(std::uint64_t number) const {
    return index_.find(number, [](const T&) { return true; });
  }
  /// The number must be new.
  T& make(std::uint64_t number) {
    T& record = memory_.create();
    index_.insert(number, record);
    return record;
  }
  void erase(std::uint64_t number, T& record) {
    index_.erase(number, record);
    memory_.destroy(record);
  }

 private:
  Slab<T> memory_;
  RecordIndex<T> index_;
};

}  // namespace conntrace::pool
