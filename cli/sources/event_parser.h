// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <simdjson.h>

#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "conntrace/event.h"

namespace conntrace {

/// Memory for what the views of events point to. Events share a block and keep it alive.
class EventArena {
 public:
  /// From here to the next reserve, `bytes` can be taken, all from one block.
  void reserve(std::size_t bytes);
  [[nodiscard]] Text copy(std::string_view text);
  /// `count` value-initialized items.
  template <class Item>
  [[nodiscard]] std::span<Item> array(std::size_t count) {
    std::align(alignof(Item), count * sizeof(Item), at_, left_);
    auto* const items = static_cast<Item*>(at_);
    std::uninitialized_value_construct_n(items, count);
    advance(count * sizeof(Item));
    return {items, count};
  }
  /// The block, if something was taken since reserve.
  [[nodiscard]] std::shared_ptr<const void> storage() const { return taken_ ? block_ : nullptr; }

 private:
  void advance(std::size_t bytes);

  std::shared_ptr<std::byte[]> block_;
  void* at_ = nullptr;
  std::size_t left_ = 0;
  bool taken_ = false;
};

/// Makes an Event of one line of JSON.
class EventParser {
 public:
  enum class Verdict {
    record,     ///< all of it is understood, but for fields that are unknown
    unknown,    ///< a record of an unknown kind or with an unknown value: its header, and an empty payload
    malformed,  ///< not an event record
    newer,      ///< a stream_start of a schema that this version does not read
  };
  struct Parsed {
    Verdict verdict;
    std::string why;         ///< malformed, newer: for people
    bool shortened = false;  ///< the record says "truncated"
  };

  /// Bytes that must be readable, not meaningful, after a line.
  static constexpr std::size_t kPadding = simdjson::SIMDJSON_PADDING;

  [[nodiscard]] Parsed parse(std::string_view line, Event& event);

 private:
  simdjson::dom::parser parser_;
  EventArena arena_;
};

}  // namespace conntrace
