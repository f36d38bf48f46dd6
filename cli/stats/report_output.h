// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <type_traits>

#include "render/waterfall.h"
#include "stats/report.h"

namespace conntrace::cli {

/// One line of JSON with its newline: schema conntrace.stats/1, then the report's fields.
[[nodiscard]] std::string to_json_line(const StatsReport& report);
/// Appends tables for people.
void render(const StatsReport& report, const TerminalOptions& options, std::string& out);

/// "12: 10 ok, 2 failed", and how many are incomplete, if any are.
[[nodiscard]] std::string requests_text(const StatsReport& report);
/// "3 of 4 on a used connection (75.0 %)"
[[nodiscard]] std::string reuse_text(std::uint64_t reused, std::uint64_t fresh);
/// "idle_timeout 2, read_error 1": of a map, or a list, of words and how often.
template <class Counts>
[[nodiscard]] std::string counts_text(const Counts& counts) {
  std::string out;
  for (const auto& [word, count] : counts) {
    if (!out.empty()) out += ", ";
    if constexpr (std::is_enum_v<std::remove_cvref_t<decltype(word)>>) {
      out += to_string(word);
    } else {
      out += word;
    }
    out += ' ' + std::to_string(count);
  }
  return out;
}

}  // namespace conntrace::cli
