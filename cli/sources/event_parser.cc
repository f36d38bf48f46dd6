// SPDX-License-Identifier: Apache-2.0
#include "cli/sources/event_parser.h"

#include <fmt/format.h>

#include <array>
#include <charconv>
#include <cstring>
#include <limits>
#include <optional>
#include <type_traits>
#include <unordered_map>
#include <utility>

namespace conntrace {
namespace {

namespace dom = simdjson::dom;

enum class Read { ok, wrong_type, unknown_value };

constexpr std::string_view kSchemaName = "conntrace.event/";
constexpr unsigned kSchemaVersion = 1;

// Each reads an element that is not null.
template <class Value>
Read read(dom::element from, std::optional<Value>& to, EventArena& arena);
template <class Item>
Read read(dom::element from, List<Item>& to, EventArena& arena);
template <class Value>
Read read(dom::element from, Value& to, EventArena& arena);

Read read(dom::element from, Text& to, EventArena& arena) {
  std::string_view text;
  if (from.get(text) != simdjson::SUCCESS) return Read::wrong_type;
  to = arena.copy(text);
  return Read::ok;
}

template <class Value>
Read read(dom::element from, std::optional<Value>& to, EventArena& arena) {
  return read(from, to.emplace(), arena);
}

/// Absent, null and a new member are all "not known".
template <class Struct>
Read read_struct(dom::object from, Struct& to, EventArena& arena) {
  Read result = Read::ok;
  for_each_field<Struct>([&](const auto& field) {
    dom::element value;
    if (result != Read::ok || from.at_key(field.name).get(value) != simdjson::SUCCESS || value.is_null()) return;
    result = read(value, to.*field.member, arena);
  });
  return result;
}

template <class Value>
Read read(dom::element from, Value& to, [[maybe_unused]] EventArena& arena) {
  if constexpr (std::is_same_v<Value, bool>) {
    return from.get(to) == simdjson::SUCCESS ? Read::ok : Read::wrong_type;
  } else if constexpr (std::is_enum_v<Value>) {
    std::string_view name;
    if (from.get(name) != simdjson::SUCCESS) return Read::wrong_type;
    const std::optional<Value> known = parse<Value>(name);
    if (known) to = *known;
    return known ? Read::ok : Read::unknown_value;
  } else if constexpr (std::is_floating_point_v<Value>) {
    return from.get(to) == simdjson::SUCCESS ? Read::ok : Read::wrong_type;
  } else if constexpr (std::is_integral_v<Value>) {
    std::conditional_t<std::is_signed_v<Value>, std::int64_t, std::uint64_t> number{};
    if (from.get(number) != simdjson::SUCCESS || !std::in_range<Value>(number)) return Read::wrong_type;
    to = static_cast<Value>(number);
    return Read::ok;
  } else {
    dom::object object;
    if (from.get(object) != simdjson::SUCCESS) return Read::wrong_type;
    return read_struct(object, to, arena);
  }
}

template <class Item>
Read read(dom::element from, List<Item>& to, EventArena& arena) {
  dom::array array;
  if (from.get(array) != simdjson::SUCCESS) return Read::wrong_type;
  std::size_t count = 0;  // array::size() saturates
  for ([[maybe_unused]] const dom::element item : array) ++count;
  const std::span<Item> items = arena.array<Item>(count);
  std::size_t at = 0;
  for (const dom::element item : array) {
    if (const Read result = read(item, items[at++], arena); result != Read::ok) return result;
  }
  to = items;
  return Read::ok;
}

/// What a record of one kind may say, header first, in the order in which it is written.
struct Member {
  std::string_view name;
  Read (*read)(dom::element, Event&, EventArena&);
};

template <std::size_t index>
Read read_header_field(dom::element from, Event& event, EventArena& arena) {
  return read(from, event.header.*std::get<index>(EventHeader::fields()).member, arena);
}

template <class Info, std::size_t index>
Read read_payload_field(dom::element from, Event& event, EventArena& arena) {
  return read(from, std::get_if<Info>(&event.payload)->*std::get<index>(Info::fields()).member, arena);
}

template <class Struct>
constexpr std::size_t field_count = std::tuple_size_v<decltype(Struct::fields())>;
template <class Struct>
using FieldIndices = std::make_index_sequence<field_count<Struct>>;

template <class Info>
constexpr auto members_of = []<std::size_t... header, std::size_t... payload>(std::index_sequence<header...>,
                                                                              std::index_sequence<payload...>) {
  return std::array<Member, sizeof...(header) + sizeof...(payload)>{
      Member{std::get<header>(EventHeader::fields()).name, read_header_field<header>}...,
      Member{std::get<payload>(Info::fields()).name, read_payload_field<Info, payload>}...};
}
(FieldIndices<EventHeader>(), FieldIndices<Info>());

struct NoInfo {
  static constexpr auto fields() { return std::tuple{}; }
};

struct KindTable {
  std::span<const Member> members;
  void (*emplace)(Payload&);
};
constexpr KindTable kUnknownKind = {members_of<NoInfo>, [](Payload& payload) { payload.emplace<0>(); }};

template <EventKind kind>
constexpr KindTable kind_table = {members_of<PayloadOf<kind>>,
                                  [](Payload& payload) { payload.emplace<static_cast<std::size_t>(kind) + 1>(); }};

const KindTable& table_of(std::string_view kind) {
  static const std::unordered_map<std::string_view, const KindTable*> tables = {
#define CONNTRACE_ROW(name, payload, origin, meaning) {to_string(EventKind::name), &kind_table<EventKind::name>},
      CONNTRACE_EVENTS(CONNTRACE_ROW)
#undef CONNTRACE_ROW
  };
  const auto found = tables.find(kind);
  return found == tables.end() ? kUnknownKind : *found->second;
}

/// Finds members by name. Records written by this version have them in the order of the table.
class MemberFinder {
 public:
  explicit MemberFinder(std::span<const Member> members) : members_(members) {}

  [[nodiscard]] const Member* find(std::string_view name) {
    for (std::size_t tried = 0; tried < members_.size(); ++tried) {
      if (next_ == members_.size()) next_ = 0;
      const Member& member = members_[next_++];
      if (member.name == name) return &member;
    }
    return nullptr;
  }

 private:
  std::span<const Member> members_;
  std::size_t next_ = 0;
};

EventParser::Parsed malformed(std::string why) { return {EventParser::Verdict::malformed, std::move(why)}; }

/// Nothing if a stream_start of this schema can be read.
std::optional<EventParser::Parsed> check_schema(dom::object record) {
  std::string_view schema;
  if (record.at_key("schema").get(schema) != simdjson::SUCCESS) return malformed("a stream_start without a schema");
  unsigned version = 0;
  const char* const end = schema.data() + schema.size();
  if (!schema.starts_with(kSchemaName)) return malformed(fmt::format("a stream_start of schema {:?}", schema));
  const auto [stop, error] = std::from_chars(schema.data() + kSchemaName.size(), end, version);
  const bool too_large = error == std::errc::result_out_of_range;
  if ((error != std::errc() && !too_large) || stop != end || (version == 0 && !too_large)) {
    return malformed(fmt::format("a stream_start of schema {:?}", schema));
  }
  if (version == kSchemaVersion) return std::nullopt;
  return EventParser::Parsed{EventParser::Verdict::newer, std::string(schema)};
}

/// Why an object without what every record has is none.
EventParser::Parsed not_a_record(dom::object record, std::string_view missing) {
  std::string_view schema;
  if (record.at_key("schema").get(schema) == simdjson::SUCCESS && !schema.starts_with(kSchemaName)) {
    return malformed(fmt::format("it is of schema {:?}", schema));
  }
  return malformed(fmt::format("it has no {:?}", missing));
}

}  // namespace

void EventArena::reserve(std::size_t bytes) {
  constexpr std::size_t kBlock = 64 * 1024;
  taken_ = false;
  if (left_ >= bytes) return;
  const std::size_t size = std::max(kBlock, bytes);
  block_ = std::make_shared_for_overwrite<std::byte[]>(size);
  at_ = block_.get();
  left_ = size;
}

Text EventArena::copy(std::string_view text) {
  if (text.empty()) return {};
  std::memcpy(at_, text.data(), text.size());
  const Text copied(static_cast<const char*>(at_), text.size());
  advance(text.size());
  return copied;
}

void EventArena::advance(std::size_t bytes) {
  at_ = static_cast<char*>(at_) + bytes;
  left_ -= bytes;
  taken_ = true;
}

EventParser::Parsed EventParser::parse(std::string_view line, Event& event) {
  dom::element root;
  if (const auto error = parser_.parse(line.data(), line.size(), false).get(root); error != simdjson::SUCCESS) {
    return malformed(fmt::format("it is not JSON ({})", simdjson::error_message(error)));
  }
  dom::object record;
  if (root.get(record) != simdjson::SUCCESS) return malformed("it is not a JSON object");
  std::string_view kind;
  if (record.at_key("kind").get(kind) != simdjson::SUCCESS) return not_a_record(record, "kind");
  if (kind == to_string(EventKind::stream_start)) {
    if (auto refused = check_schema(record)) return *std::move(refused);
  }

  // An item of a list takes at least three characters: {}, and at most that many bytes.
  constexpr std::size_t kBytesPerCharacter = 16;
  static_assert(sizeof(Holder) <= 3 * kBytesPerCharacter && sizeof(Candidate) <= 3 * kBytesPerCharacter);
  arena_.reserve(line.size() * kBytesPerCharacter);
  const KindTable& table = table_of(kind);
  table.emplace(event.payload);
  MemberFinder finder(table.members);
  Parsed parsed{&table == &kUnknownKind ? Verdict::unknown : Verdict::record, {}};
  bool has_time = false;
  bool has_source = false;
  for (const auto [key, value] : record) {
    const Member* const member = finder.find(key);
    if (member == nullptr) {
      parsed.shortened = parsed.shortened || key == "truncated";
      continue;
    }
    if (value.is_null()) continue;
    const Read result = member->read(value, event, arena_);
    if (result == Read::wrong_type) return malformed(fmt::format("{:?} is of a wrong type or out of range", key));
    if (result == Read::unknown_value) parsed.verdict = Verdict::unknown;
    has_time = has_time || member == &table.members[0];
    has_source = has_source || member == &table.members[1];
  }
  static_assert(members_of<NoInfo>[0].name == "mono_ns" && members_of<NoInfo>[1].name == "source");
  if (!has_time) return not_a_record(record, "mono_ns");
  if (!has_source) return not_a_record(record, "source");
  if (parsed.verdict == Verdict::unknown) event.payload.emplace<0>();
  event.storage = arena_.storage();
  return parsed;
}

}  // namespace conntrace
