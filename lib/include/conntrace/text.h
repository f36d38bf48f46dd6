// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <span>
#include <string_view>

namespace conntrace {

/// Text and lists in payloads are views. In a hook they live until the hook returns; in an Event as long as its
/// storage.
using Text = std::string_view;
template <class T>
using List = std::span<const T>;

}  // namespace conntrace
