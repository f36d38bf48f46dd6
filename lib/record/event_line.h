// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <string_view>

#include "conntrace/event.h"
#include "conntrace/event_json.h"

namespace conntrace {

/// Room for one record's line, on the stack of whoever makes it.
struct LineBuffer {
  /// What the parts of known length of one line take at most; event_line.cc asserts it for every kind.
  static constexpr std::size_t kFixedParts = 2048;
  char bytes[kMaxLine + kFixedParts];
};

/// What append_json_line writes, without an Event and without an allocation. The view points into `buffer`.
template <EventKind kind>
[[nodiscard]] std::string_view format_line(const EventHeader& header, const PayloadOf<kind>& payload,
                                           LineBuffer& buffer);

}  // namespace conntrace
