// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <tuple>

namespace conntrace {

/// One field of a payload: its JSON key, where it lives, what it means. Writer, reader, schema and docs walk these.
///
/// How a value is written to an event record: false and 0 as they are; an empty string, an empty list and an empty
/// optional are left out, since absent means "not known" or "did not happen", never 0.
template <class Struct, class Value>
struct Field {
  const char* name;
  Value Struct::*member;
  const char* meaning;
};
template <class Struct, class Value>
Field(const char*, Value Struct::*, const char*) -> Field<Struct, Value>;

/// Calls visit(field) for each field of Struct, in order.
template <class Struct, class Visit>
constexpr void for_each_field(Visit&& visit) {
  std::apply([&](const auto&... field) { (visit(field), ...); }, Struct::fields());
}

}  // namespace conntrace
