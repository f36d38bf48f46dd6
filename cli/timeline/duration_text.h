// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>

namespace conntrace::cli {

/// For people, three significant digits: "812 ns", "33.1 us", "52.1 ms", "1.50 s", "90 s".
[[nodiscard]] std::string duration_text(std::uint64_t ns);

}  // namespace conntrace::cli
