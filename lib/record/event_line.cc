// SPDX-License-Identifier: Apache-2.0
#include "record/event_line.h"

#include <fmt/compile.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <type_traits>
#include <utility>

#include "record/field_types.h"
#include "record/json_text.h"

// A line is written once, without limits but that of the buffer. If it is too long, which is rare, it is written again
// with shorter and shorter limits for texts and lists, until it fits.

namespace conntrace {
namespace {

/// The longest number is a double of 24 characters, the longest name of a value is shorter than 38.
constexpr std::size_t kLongestScalar = 40;

template <class Struct, std::size_t index>
constexpr std::string_view field_name = std::get<index>(Struct::fields()).name;
/// A constant, because fields() at run time is a tuple that is made anew for each member.
template <class Struct, std::size_t index>
constexpr auto field_member = std::get<index>(Struct::fields()).member;

/// ,"name":
template <class Struct, std::size_t index>
constexpr auto field_key = [] {
  constexpr std::string_view name = field_name<Struct, index>;
  std::array<char, name.size() + 4> key{};
  key[0] = ',';
  key[1] = '"';
  for (std::size_t i = 0; i < name.size(); ++i) key[2 + i] = name[i];
  key[name.size() + 2] = '"';
  key[name.size() + 3] = ':';
  return key;
}();

template <class Struct>
using FieldIndices = std::make_index_sequence<std::tuple_size_v<decltype(Struct::fields())>>;

/// What a struct takes at most, not counting the insides of texts and lists.
template <class Struct>
constexpr std::size_t fixed_parts() {
  return []<std::size_t... index>(std::index_sequence<index...>) {
    return std::size_t{2} + (std::size_t{0} + ... + (field_key<Struct, index>.size() + kLongestScalar));
  }
  (FieldIndices<Struct>());
}

/// The same and the insides, with texts of `text` bytes and lists of `items`.
template <class Struct>
constexpr std::size_t whole(std::size_t text, std::size_t items) {
  std::size_t sum = fixed_parts<Struct>();
  for_each_field<Struct>([&]<class S, class Value>(const Field<S, Value>&) {
    if constexpr (std::is_same_v<Value, Text>) sum += text;
    if constexpr (is_list<Value>) {
      using Item = list_item<Value>;
      if constexpr (std::is_same_v<Item, Text>)
        sum += items * (text + 3);
      else
        sum += items * (whole<Item>(text, items) + 1);
    }
  });
  return sum;
}

struct Limits {
  std::size_t text;
  std::size_t items;
};
constexpr Limits kUnlimited = {kMaxLine, kMaxLine};
constexpr Limits kWidest = {4096, 256};
constexpr int kHalvings = 6;
constexpr Limits kTightest = {kWidest.text >> kHalvings, kWidest.items >> kHalvings};

template <class Value>
bool absent(const Value& value) {
  if constexpr (std::is_same_v<Value, Text> || is_list<Value>)
    return value.empty();
  else if constexpr (is_optional<Value>)
    return !value.has_value();
  else if constexpr (std::is_floating_point_v<Value>)
    return !std::isfinite(value);  // JSON has no other numbers
  else
    return false;
}

/// Writes into a LineBuffer. Texts and items of lists stop at kMaxLine; after it only fixed parts are written, for
/// which there is room.
class LineWriter {
 public:
  LineWriter(LineBuffer& buffer, Limits limits)
      : begin_(buffer.bytes), at_(buffer.bytes), limit_(buffer.bytes + kMaxLine), limits_(limits) {}

  [[nodiscard]] bool cut() const { return cut_; }
  [[nodiscard]] std::string_view line() const { return {begin_, static_cast<std::size_t>(at_ - begin_)}; }

  void raw(std::string_view bytes) {
    std::memcpy(at_, bytes.data(), bytes.size());
    at_ += bytes.size();
  }

  void value(Text text) {
    *at_++ = '"';
    const auto room = static_cast<std::size_t>(std::max<std::ptrdiff_t>(limit_ - at_, 0));
    const WrittenText written = write_json_text(text, at_, at_ + std::min(room, limits_.text));
    at_ = written.end;
    cut_ = cut_ || !written.complete;
    *at_++ = '"';
  }

  template <class Value>
  void value(const Value& value) {
    if constexpr (std::is_same_v<Value, bool>) {
      raw(value ? "true" : "false");
    } else if constexpr (std::is_enum_v<Value>) {
      *at_++ = '"';
      raw(to_string(value));
      *at_++ = '"';
    } else if constexpr (std::is_arithmetic_v<Value>) {
      at_ = fmt::format_to(at_, FMT_COMPILE("{}"), value);
    } else if constexpr (is_optional<Value>) {
      this->value(*value);
    } else if constexpr (is_list<Value>) {
      list(value);
    } else {
      char* const start = at_;
      members(value);
      if (at_ == start) *at_++ = '{';
      *start = '{';  // where the first member's comma is
      *at_++ = '}';
    }
  }

  /// Each member with a comma before it.
  template <class Struct>
  void members(const Struct& from) {
    [&]<std::size_t... index>(std::index_sequence<index...>) { (member<Struct, index>(from), ...); }
    (FieldIndices<Struct>());
  }

  /// The same, leaving out what is 0.
  void header(const EventHeader& header) {
    [&]<std::size_t... index>(std::index_sequence<index...>) { (header_member<index>(header), ...); }
    (FieldIndices<EventHeader>());
  }

 private:
  template <class Struct, std::size_t index>
  void member(const Struct& from) {
    const auto& value = from.*field_member<Struct, index>;
    if (absent(value)) return;
    raw({field_key<Struct, index>.data(), field_key<Struct, index>.size()});
    this->value(value);
  }

  template <std::size_t index>
  void header_member(const EventHeader& header) {
    const auto& value = header.*field_member<EventHeader, index>;
    if constexpr (std::is_integral_v<std::remove_cvref_t<decltype(value)>>) {
      if (value == 0) return;
    }
    member<EventHeader, index>(header);
  }

  template <class Item>
  void list(List<Item> items) {
    *at_++ = '[';
    std::size_t left = limits_.items;
    for (const Item& item : items) {
      if (left-- == 0 || !room_for<Item>()) {
        cut_ = true;
        break;
      }
      if (&item != items.data()) *at_++ = ',';
      value(item);
    }
    *at_++ = ']';
  }

  template <class Item>
  [[nodiscard]] bool room_for() const {
    std::size_t needed = 3;
    if constexpr (!std::is_same_v<Item, Text>) needed += fixed_parts<Item>();
    return limit_ - at_ >= static_cast<std::ptrdiff_t>(needed);
  }

  char* const begin_;
  char* at_;
  char* const limit_;
  const Limits limits_;
  bool cut_ = false;
};

/// Whether a payload field could be taken for one of the header's. A record is one flat object.
template <class Struct>
constexpr bool names_collide() {
  bool collide = false;
  for_each_field<Struct>([&](const auto& field) {
    const std::string_view name = field.name;
    collide = collide || name == "kind" || name == "truncated";
    for_each_field<EventHeader>([&](const auto& other) { collide = collide || name == other.name; });
  });
  return collide;
}

constexpr std::string_view kTruncated = ",\"truncated\":true";

template <EventKind kind>
void write(LineWriter& writer, const EventHeader& header, const PayloadOf<kind>& payload) {
  writer.raw("{\"kind\":\"");
  writer.raw(to_string(kind));
  writer.raw("\"");
  writer.header(header);
  writer.members(payload);
  if (writer.cut()) writer.raw(kTruncated);
  writer.raw("}\n");
}

template <EventKind kind>
constexpr bool layout_is_sound() {
  using Struct = PayloadOf<kind>;
  constexpr std::size_t frame = sizeof("{\"kind\":\"\"") + to_string(kind).size() + kTruncated.size() + sizeof("}\n");
  constexpr std::size_t fixed = frame + fixed_parts<EventHeader>() + fixed_parts<Struct>();
  return !names_collide<Struct>() && fixed < LineBuffer::kFixedParts &&
         frame + fixed_parts<EventHeader>() + whole<Struct>(kTightest.text, kTightest.items) < kMaxLine;
}

}  // namespace

template <EventKind kind>
std::string_view format_line(const EventHeader& header, const PayloadOf<kind>& payload, LineBuffer& buffer) {
  static_assert(layout_is_sound<kind>(), "a field has a name that is taken, or there are too many to fit into a line");
  LineWriter writer(buffer, kUnlimited);
  write<kind>(writer, header, payload);
  if (!writer.cut() && writer.line().size() < kMaxLine) return writer.line();
  for (int halvings = 0;; ++halvings) {
    LineWriter shorter(buffer, {kWidest.text >> halvings, kWidest.items >> halvings});
    write<kind>(shorter, header, payload);
    if (shorter.line().size() < kMaxLine || halvings == kHalvings) return shorter.line();
  }
}

#define CONNTRACE_ROW(name, payload, origin, meaning)                                                           \
  template std::string_view format_line<EventKind::name>(const EventHeader&, const PayloadOf<EventKind::name>&, \
                                                         LineBuffer&);
CONNTRACE_EVENTS(CONNTRACE_ROW)
#undef CONNTRACE_ROW

}  // namespace conntrace
