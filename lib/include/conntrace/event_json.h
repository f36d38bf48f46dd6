// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>

#include "conntrace/event.h"

namespace conntrace {

/// Appends the event as one line of JSON with its newline: {"kind":…,"mono_ns":…,"source":…, header, payload}.
///
/// A line stays under kMaxLine: long strings are shortened, long lists are cut, and "truncated":true says so.
/// Precondition: event.known().
void append_json_line(const Event& event, std::string& out);

inline constexpr std::size_t kMaxLine = 8192;  ///< rsyslog cuts longer lines

/// A copy whose views point into its own storage.
[[nodiscard]] Event own(const Event& event);

}  // namespace conntrace
