// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <type_traits>

#include "conntrace/text.h"

namespace conntrace {

// What a walk over fields() asks about the type of a field.

template <class T>
inline constexpr bool is_optional = false;
template <class T>
inline constexpr bool is_optional<std::optional<T>> = true;

template <class T>
inline constexpr bool is_list = false;
template <class T>
inline constexpr bool is_list<List<T>> = true;

template <class T>
using list_item = std::remove_const_t<typename T::element_type>;

}  // namespace conntrace
