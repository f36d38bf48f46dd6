// SPDX-License-Identifier: Apache-2.0
#include "render/json.h"

#include <nlohmann/json.hpp>
#include <type_traits>

#include "render/shorten.h"

namespace conntrace::cli {
namespace {

using Json = nlohmann::ordered_json;

template <class T>
concept Record = requires {
  T::fields();
};

Json value_of(const std::string& text) { return text; }
Json value_of(const Unavailable& reasons) {
  Json out = Json::object();
  for (const auto& [path, why] : reasons) out[path] = why;
  return out;
}
template <class T>
requires std::is_arithmetic_v<T> Json value_of(T number) { return number; }
template <class T>
requires std::is_enum_v<T> Json value_of(T word) { return std::string(to_string(word)); }
template <Record T>
Json value_of(const T& record);
template <class T>
Json value_of(const std::vector<T>& list);
template <class T>
Json value_of(const std::optional<T>& maybe) {
  return maybe ? value_of(*maybe) : Json(nullptr);
}

template <Record T>
void append_fields(const T& record, Json& out) {
  for_each_field<T>([&](const auto& field) { out[field.name] = value_of(record.*field.member); });
}

template <Record T>
Json value_of(const T& record) {
  Json out = Json::object();
  append_fields(record, out);
  if constexpr (std::is_same_v<T, PhaseTimeline>) {
    std::visit(
        [&]<class Facts>(const Facts& facts) {
          if constexpr (Record<Facts>) append_fields(facts, out);
        },
        record.facts);
  }
  return out;
}

template <class T>
Json value_of(const std::vector<T>& list) {
  Json out = Json::array();
  for (const T& item : list) out.push_back(value_of(item));
  return out;
}

template <class Timeline>
std::string line_of(const Timeline& timeline, const char* kind) {
  Json out = {{"schema", kTimelineSchema}, {"kind", kind}};
  append_fields(timeline, out);
  if (timeline.truncated) out["truncated"] = true;
  return out.dump(-1, ' ', false, Json::error_handler_t::replace) + '\n';
}

template <class Timeline>
std::string short_line_of(const Timeline& timeline, const char* kind) {
  std::string line = line_of(timeline, kind);
  if (line.size() < kMaxTimelineLine) return line;
  Timeline shorter = timeline;
  shorter.truncated = true;
  for (const Cut& cut : kCuts) {
    shorten(shorter, cut);
    line = line_of(shorter, kind);
    if (line.size() < kMaxTimelineLine) break;
  }
  return line;
}

}  // namespace

std::string to_json_line(const RequestTimeline& timeline) { return short_line_of(timeline, "request"); }
std::string to_json_line(const ConnectionTimeline& timeline) { return short_line_of(timeline, "connection"); }
std::string to_json_line(const ProcessTimeline& timeline) { return short_line_of(timeline, "process"); }

}  // namespace conntrace::cli
