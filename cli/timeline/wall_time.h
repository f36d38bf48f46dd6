// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <optional>
#include <string_view>

namespace conntrace::cli {

/// Reads what rfc3339() writes, with any number of digits after the second: 2026-01-02T03:04:05.123456789Z
[[nodiscard]] std::optional<std::chrono::nanoseconds> parse_rfc3339(std::string_view text);

}  // namespace conntrace::cli
