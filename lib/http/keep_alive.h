// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>

#include "conntrace/request.h"

namespace conntrace::http {

/// What a server says of how long it keeps a connection.
struct KeepAliveHints {
  std::optional<std::chrono::seconds> timeout;  ///< it closes the connection when it was idle for so long
  std::optional<std::uint64_t> max;             ///< requests that it will still answer on the connection
};

/// Reads the Keep-Alive fields of a response. What cannot be understood is as if it had not been said; of what is said
/// twice the smaller number holds.
/// Source: RFC 2068 section 19.7.1.1, draft-thomson-hybi-http-timeout; Apache httpd and nginx send it.
[[nodiscard]] KeepAliveHints keep_alive_hints(const Headers& headers);

}  // namespace conntrace::http
