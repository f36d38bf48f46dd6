// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include "conntrace/clock.h"
#include "pool/intrusive_list.h"

namespace conntrace::pool {

/// Who holds slots of a limit, longest first, and for how long in all: what explains a wait, without looking at each.
///
/// Records come with the time of now, so that the order of their coming is that of `since`.
template <class T, ListHook<T> T::*hook, MonoTime T::*since>
class HeldList {
 public:
  [[nodiscard]] std::size_t size() const { return list_.size(); }
  [[nodiscard]] auto begin() const { return list_.begin(); }
  [[nodiscard]] auto end() const { return list_.end(); }

  void push_back(T& record) {
    list_.push_back(record);
    since_sum_ += as_number(record.*since);
  }
  void erase(T& record) {
    list_.erase(record);
    since_sum_ -= as_number(record.*since);
  }
  /// To be called when the record's `since` was `before` and now is the time of now: the slot has another user.
  void renewed(T& record, MonoTime before) {
    list_.move_to_back(record);
    since_sum_ += as_number(record.*since - before);
  }
  /// How long all have held their slots, in nanoseconds modulo 2^64: differences of it are exact.
  [[nodiscard]] std::uint64_t held_ns(MonoTime now) const { return size() * as_number(now) - since_sum_; }

 private:
  static std::uint64_t as_number(MonoTime time) { return static_cast<std::uint64_t>(time.count()); }

  IntrusiveList<T, hook> list_;
  std::uint64_t since_sum_ = 0;
};

}  // namespace conntrace::pool
