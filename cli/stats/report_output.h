// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "render/waterfall.h"
#include "stats/report.h"

namespace conntrace::cli {

/// One line of JSON with its newline: schema conntrace.stats/1, then the report's fields.
[[nodiscard]] std::string to_json_line(const StatsReport& report);
/// Appends tables for people.
void render(const StatsReport& report, const TerminalOptions& options, std::string& out);

}  // namespace conntrace::cli
