// SPDX-License-Identifier: Apache-2.0
#pragma once

// JSON of whatever has fields(), keys in their order, null for what is empty. For .cc files only: nlohmann_json is
// large.

#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <type_traits>
#include <variant>
#include <vector>

#include "timeline/model.h"

namespace conntrace::cli {

using Json = nlohmann::ordered_json;

template <class T>
concept Record = requires {
  T::fields();
};

inline Json value_of(const std::string& text) { return text; }
inline Json value_of(const Unavailable& reasons) {
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

/// One line with its newline. Bytes that are not UTF-8 become U+FFFD.
inline std::string dump_line(const Json& json) {
  return json.dump(-1, ' ', false, Json::error_handler_t::replace) + '\n';
}

}  // namespace conntrace::cli
