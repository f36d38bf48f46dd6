// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cassert>
#include <cstddef>

namespace conntrace::pool {

/// A record's place in one IntrusiveList. A record that is in several lists has one hook for each.
template <class T>
struct ListHook {
  T* prev = nullptr;  ///< of the first record: itself; nullptr: in no list
  T* next = nullptr;
  [[nodiscard]] bool linked() const { return prev != nullptr; }
};

/// A doubly linked list through hooks in the records themselves: every operation is O(1) and allocates nothing.
///
/// Lifetime: records outlive their membership; the list owns nothing.
template <class T, ListHook<T> T::*hook>
class IntrusiveList {
 public:
  IntrusiveList() = default;
  IntrusiveList(const IntrusiveList&) = delete;
  IntrusiveList& operator=(const IntrusiveList&) = delete;

  [[nodiscard]] bool empty() const { return size_ == 0; }
  [[nodiscard]] std::size_t size() const { return size_; }
  [[nodiscard]] T& front() const { return *first_; }
  [[nodiscard]] T& back() const { return *last_; }

  void push_back(T& record) {
    auto& place = record.*hook;
    assert(!place.linked());
    place = {last_ ? last_ : &record, nullptr};
    (last_ ? (last_->*hook).next : first_) = &record;
    last_ = &record;
    ++size_;
  }

  void move_to_back(T& record) {
    if (&record == last_) return;
    erase(record);
    push_back(record);
  }

  void erase(T& record) {
    auto& place = record.*hook;
    assert(place.linked());
    const bool first = place.prev == &record;
    (first ? first_ : (place.prev->*hook).next) = place.next;
    if (place.next) {
      (place.next->*hook).prev = first ? place.next : place.prev;
    } else {
      last_ = first ? nullptr : place.prev;
    }
    place = {};
    --size_;
  }

  struct Iterator {
    T* record;
    T& operator*() const { return *record; }
    Iterator& operator++() {
      record = (record->*hook).next;
      return *this;
    }
    friend bool operator==(const Iterator&, const Iterator&) = default;
  };
  [[nodiscard]] Iterator begin() const { return {first_}; }
  [[nodiscard]] Iterator end() const { return {nullptr}; }

 private:
  T* first_ = nullptr;
  T* last_ = nullptr;
  std::size_t size_ = 0;
};

}  // namespace conntrace::pool
