// SPDX-License-Identifier: Apache-2.0
#include "render/schema.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>
#include <optional>
#include <type_traits>
#include <vector>

#include "conntrace/event.h"
#include "stats/report.h"
#include "timeline/model.h"

namespace conntrace::cli {
namespace {

using Json = nlohmann::ordered_json;

template <class T>
concept Record = requires {
  T::fields();
};
template <class T>
concept ListType =
    !std::is_same_v<T, Text> && !std::is_same_v<T, std::string> && !std::is_same_v<T, Unavailable> && requires {
  typename T::value_type;
}
&&requires(T list) { list.size(); };
template <class T>
concept OptionalType = requires(T maybe) {
  maybe.has_value();
};

enum class Nulls { absent, shown };  ///< event records leave out what they do not know; timelines say null

template <Record T>
Json object_of(Nulls nulls);

template <class E>
Json words_of() {
  Json out = Json::array();
  for (const std::string_view word : Names<E>::list) out.push_back(std::string(word));
  return out;
}

template <class T>
Json type_of(Nulls nulls) {
  if constexpr (OptionalType<T>) {
    Json inner = type_of<typename T::value_type>(nulls);
    if (nulls == Nulls::absent) return inner;
    if (inner.contains("type") && inner["type"] != "object" && inner["type"] != "array") {
      inner["type"] = Json::array({inner["type"], "null"});
      return inner;
    }
    return {{"anyOf", Json::array({inner, {{"type", "null"}}})}};
  } else if constexpr (std::is_same_v<T, bool>) {
    return {{"type", "boolean"}};
  } else if constexpr (std::is_enum_v<T>) {
    return {{"enum", words_of<T>()}};
  } else if constexpr (std::is_floating_point_v<T>) {
    return {{"type", "number"}};
  } else if constexpr (std::is_unsigned_v<T>) {
    return {{"type", "integer"}, {"minimum", 0}};
  } else if constexpr (std::is_integral_v<T>) {
    return {{"type", "integer"}};
  } else if constexpr (std::is_same_v<T, Unavailable>) {
    return {{"type", "object"}, {"additionalProperties", {{"type", "string"}}}};
  } else if constexpr (ListType<T>) {
    return {{"type", "array"}, {"items", type_of<std::remove_cv_t<typename T::value_type>>(nulls)}};
  } else if constexpr (Record<T>) {
    return object_of<T>(nulls);
  } else {
    static_assert(std::is_convertible_v<T, std::string_view>);
    return {{"type", "string"}};
  }
}

template <Record T>
void add_properties(Nulls nulls, Json& properties, Json& required) {
  for_each_field<T>([&]<class Struct, class Value>(const Field<Struct, Value>& field) {
    Json& property = properties[field.name];
    property["description"] = field.meaning;
    property.update(type_of<Value>(nulls));
    required.push_back(field.name);
  });
}

/// "If the phase has this name, these facts follow."
template <Record Facts>
Json facts_rule(Phase name) {
  Json properties = Json::object();
  Json required = Json::array();
  add_properties<Facts>(Nulls::shown, properties, required);
  return {{"if", {{"properties", {{"name", {{"const", std::string(to_string(name))}}}}}}},
          {"then", {{"properties", properties}, {"required", required}}}};
}

template <Record T>
Json object_of(Nulls nulls) {
  Json properties = Json::object();
  Json required = Json::array();
  add_properties<T>(nulls, properties, required);
  Json out = {{"type", "object"}, {"properties", properties}};
  if (nulls == Nulls::shown) out["required"] = required;
  if constexpr (std::is_same_v<T, PhaseTimeline>) {
    out["allOf"] = Json::array({facts_rule<BlockedFacts>(Phase::blocked), facts_rule<DnsFacts>(Phase::dns),
                                facts_rule<ConnectFacts>(Phase::connect), facts_rule<TlsFacts>(Phase::tls),
                                facts_rule<ProxyFacts>(Phase::proxy)});
  }
  return out;
}

template <Record T>
Json timeline_rule(const char* kind) {
  Json properties = {{"schema", {{"const", kTimelineSchema}}}, {"kind", {{"const", kind}}}};
  Json required = Json::array({"schema", "kind"});
  add_properties<T>(Nulls::shown, properties, required);
  properties["truncated"] = {{"description", "the line was shortened to stay under 8 KiB"}, {"type", "boolean"}};
  return {{"title", kind}, {"type", "object"}, {"properties", properties}, {"required", required}};
}

template <Record Payload>
Json event_rule(std::string_view kind, std::string_view meaning) {
  Json properties = Json::object();
  Json required = Json::array();
  add_properties<Payload>(Nulls::absent, properties, required);
  return {{"if", {{"properties", {{"kind", {{"const", std::string(kind)}}}}}}},
          {"then", {{"description", std::string(meaning)}, {"properties", properties}}}};
}

}  // namespace

std::string event_schema() {
  Json properties = {{"kind",
                      {{"description", "the event; kinds of later versions are skipped by readers"},
                       {"type", "string"},
                       {"examples", words_of<EventKind>()}}}};
  Json ignored = Json::array();
  add_properties<EventHeader>(Nulls::absent, properties, ignored);
  properties["truncated"] = {{"description", "the line was shortened to stay under 8 KiB"}, {"type", "boolean"}};
  Json rules = Json::array();
#define CONNTRACE_ROW(name, payload, origin, meaning) rules.push_back(event_rule<payload>(#name, meaning));
  CONNTRACE_EVENTS(CONNTRACE_ROW)
#undef CONNTRACE_ROW
  const Json out = {{"$schema", "https://json-schema.org/draft/2020-12/schema"},
                    {"$id", "urn:conntrace:event:1"},
                    {"title", "conntrace event record, one line of JSON"},
                    {"type", "object"},
                    {"properties", properties},
                    {"required", {"kind", "mono_ns", "source"}},
                    {"allOf", rules}};
  return out.dump(2) + '\n';
}

std::string stats_schema() {
  Json properties = {{"schema", {{"const", kStatsSchema}}}};
  Json required = Json::array({"schema"});
  add_properties<StatsReport>(Nulls::shown, properties, required);
  const Json out = {{"$schema", "https://json-schema.org/draft/2020-12/schema"},
                    {"$id", "urn:conntrace:stats:1"},
                    {"title", "conntrace statistics, one line of JSON"},
                    {"type", "object"},
                    {"properties", properties},
                    {"required", required}};
  return out.dump(2) + '\n';
}

std::string timeline_schema() {
  const Json out = {
      {"$schema", "https://json-schema.org/draft/2020-12/schema"},
      {"$id", "urn:conntrace:timeline:1"},
      {"title", "conntrace timeline, one line of JSON"},
      {"description",
       "Durations and moments are nanoseconds; moments but start_mono_ns and mono_ns are relative to "
       "start_mono_ns, negative before it. null: not known (unavailable says why) or not applicable."},
      {"oneOf", Json::array({timeline_rule<RequestTimeline>("request"), timeline_rule<ConnectionTimeline>("connection"),
                             timeline_rule<ProcessTimeline>("process")})}};
  return out.dump(2) + '\n';
}

}  // namespace conntrace::cli
