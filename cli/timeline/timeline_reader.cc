// SPDX-License-Identifier: Apache-2.0
#include "timeline/timeline_reader.h"

#include <nlohmann/json.hpp>
#include <string>
#include <type_traits>

namespace conntrace::cli {
namespace {

using Json = nlohmann::json;

template <class T>
concept Record = requires {
  T::fields();
};

/// Why a value could not be read: the path of the field, from the inside out.
struct BadField {
  std::string path;
};

void read(const Json& json, std::string& out) {
  if (!json.is_string()) throw BadField{};
  out = json.get<std::string>();
}
void read(const Json& json, bool& out) {
  if (!json.is_boolean()) throw BadField{};
  out = json.get<bool>();
}
template <class T>
requires std::is_arithmetic_v<T>
void read(const Json& json, T& out) {
  if constexpr (std::is_floating_point_v<T>) {
    if (!json.is_number()) throw BadField{};
  } else {
    if (!json.is_number_integer()) throw BadField{};
    const bool fits = json.is_number_unsigned() ? std::in_range<T>(json.get<std::uint64_t>())
                                                : std::in_range<T>(json.get<std::int64_t>());
    if (!fits) throw BadField{};
  }
  out = json.get<T>();
}
/// A word of a newer version becomes "unknown" or "none" where the vocabulary has that, else the list's first.
template <class T>
requires std::is_enum_v<T>
void read(const Json& json, T& out) {
  if (!json.is_string()) throw BadField{};
  out = parse<T>(json.get_ref<const std::string&>()).value_or(T{});
}
void read(const Json& json, Unavailable& out) {
  if (!json.is_object()) throw BadField{};
  for (const auto& [path, why] : json.items()) read(why, out[path]);
}
template <Record T>
void read(const Json& json, T& out);
template <class T>
void read(const Json& json, std::vector<T>& out);
template <class T>
void read(const Json& json, std::optional<T>& out) {
  if (json.is_null()) {
    out.reset();
  } else {
    read(json, out.emplace());
  }
}
template <class T>
void read(const Json& json, std::vector<T>& out) {
  if (!json.is_array()) throw BadField{};
  for (const Json& item : json) read(item, out.emplace_back());
}

template <Record T>
void read_fields(const Json& json, T& out) {
  if (!json.is_object()) throw BadField{};
  for_each_field<T>([&](const auto& field) {
    const auto found = json.find(field.name);
    if (found == json.end()) return;
    try {
      read(*found, out.*field.member);
    } catch (BadField& bad) {
      throw BadField{bad.path.empty() ? field.name : field.name + ("." + bad.path)};
    }
  });
}

template <Record T>
void read(const Json& json, T& out) {
  read_fields(json, out);
  if constexpr (std::is_same_v<T, PhaseTimeline>) {
    switch (out.name) {
      case Phase::blocked: return read_fields(json, out.facts.template emplace<BlockedFacts>());
      case Phase::dns: return read_fields(json, out.facts.template emplace<DnsFacts>());
      case Phase::connect: return read_fields(json, out.facts.template emplace<ConnectFacts>());
      case Phase::tls: return read_fields(json, out.facts.template emplace<TlsFacts>());
      case Phase::proxy: return read_fields(json, out.facts.template emplace<ProxyFacts>());
      case Phase::none:
      case Phase::send:
      case Phase::wait:
      case Phase::receive:
      case Phase::body_held: return;
    }
  }
}

template <class Timeline>
AnyTimeline timeline_of(const Json& json) {
  Timeline out;
  read_fields(json, out);
  out.truncated = json.value("truncated", false);
  return out;
}

std::string text_of(const Json& json, const char* key) {
  const auto found = json.find(key);
  return found != json.end() && found->is_string() ? found->get<std::string>() : std::string();
}

}  // namespace

Result<AnyTimeline> read_timeline(std::string_view line) {
  const Json json = Json::parse(line, nullptr, false);
  if (!json.is_object()) return Failure(make_error(Errc::bad_record, "not a JSON object"));
  const std::string schema = text_of(json, "schema");
  if (schema != kTimelineSchema) {
    if (schema.starts_with("conntrace.timeline/")) return Failure(make_error(Errc::newer_schema, schema));
    return Failure(make_error(Errc::bad_record, std::string("its schema is not ") + kTimelineSchema));
  }
  const std::string kind = text_of(json, "kind");
  try {
    if (kind == "request") return timeline_of<RequestTimeline>(json);
    if (kind == "connection") return timeline_of<ConnectionTimeline>(json);
    if (kind == "process") return timeline_of<ProcessTimeline>(json);
  } catch (const BadField& bad) {
    return Failure(make_error(Errc::bad_record, kind + " timeline, field " + bad.path));
  } catch (const Json::exception& error) {
    return Failure(make_error(Errc::bad_record, error.what()));
  }
  return Failure(make_error(Errc::newer_schema, "timeline of kind '" + kind + "'"));
}

}  // namespace conntrace::cli
