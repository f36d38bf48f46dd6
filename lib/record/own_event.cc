// SPDX-License-Identifier: Apache-2.0
#include <cstddef>
#include <cstring>
#include <memory>
#include <type_traits>
#include <utility>
#include <variant>

#include "conntrace/event_json.h"
#include "record/field_types.h"

namespace conntrace {
namespace {

// Two passes over the same fields: the first counts bytes, the second copies them into one allocation.

struct Counter {
  std::size_t bytes = 0;

  void text(Text& text) { bytes += text.size(); }
  template <class Item>
  Item* list(List<Item>& list) {
    bytes += list.size_bytes() + alignof(Item);
    return nullptr;
  }
};

struct Copier {
  void* at;
  std::size_t left;

  void text(Text& text) {
    if (text.empty()) {
      text = {};
      return;
    }
    std::memcpy(at, text.data(), text.size());
    text = {static_cast<const char*>(at), text.size()};
    advance(text.size());
  }
  template <class Item>
  Item* list(List<Item>& list) {
    if (list.empty()) return nullptr;
    std::align(alignof(Item), list.size_bytes(), at, left);
    auto* const items = static_cast<Item*>(at);
    std::uninitialized_copy(list.begin(), list.end(), items);
    list = {items, list.size()};
    advance(list.size_bytes());
    return items;
  }
  void advance(std::size_t bytes) {
    at = static_cast<char*>(at) + bytes;
    left -= bytes;
  }
};

template <class Struct, class Pass>
void walk(Struct& from, Pass& pass) {
  for_each_field<Struct>([&]<class S, class Value>(const Field<S, Value>& field) {
    Value& value = from.*field.member;
    if constexpr (std::is_same_v<Value, Text>) {
      pass.text(value);
    } else if constexpr (is_list<Value>) {
      using Item = list_item<Value>;
      const List<Item> before = value;
      Item* const copies = pass.list(value);
      for (std::size_t i = 0; i < before.size(); ++i) {
        Item item = before[i];
        Item& target = copies != nullptr ? copies[i] : item;
        if constexpr (std::is_same_v<Item, Text>)
          pass.text(target);
        else
          walk(target, pass);
      }
    }
  });
}

template <class Pass>
void walk_payload(Payload& payload, Pass& pass) {
  std::visit(
      [&]<class Info>(Info& info) {
        if constexpr (!std::is_same_v<Info, std::monostate>) walk(info, pass);
      },
      payload);
}

}  // namespace

Event own(const Event& event) {
  Event copy = event;
  if (auto* interim = std::get_if<Got1xxResponseInfo>(&copy.payload)) interim->headers = nullptr;
  Counter counter;
  walk_payload(copy.payload, counter);
  if (counter.bytes == 0) {
    copy.storage.reset();
    return copy;
  }
  auto block = std::make_shared_for_overwrite<std::byte[]>(counter.bytes);
  Copier copier{block.get(), counter.bytes};
  walk_payload(copy.payload, copier);
  copy.storage = std::move(block);
  return copy;
}

}  // namespace conntrace
