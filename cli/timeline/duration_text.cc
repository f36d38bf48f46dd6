// SPDX-License-Identifier: Apache-2.0
#include "timeline/duration_text.h"

#include <fmt/format.h>

namespace conntrace::cli {

std::string duration_text(std::uint64_t ns) {
  struct Unit {
    const char* name;
    double ns;
  };
  constexpr Unit kUnits[] = {{"us", 1e3}, {"ms", 1e6}, {"s", 1e9}};
  if (ns < 1000) return fmt::format("{} ns", ns);
  for (const Unit& unit : kUnits) {
    const double value = static_cast<double>(ns) / unit.ns;
    // 999.5 rounds to 1000, which is 1.00 of the next unit.
    if (value >= 999.5 && unit.ns < 1e9) continue;
    const int digits = value < 9.995 ? 2 : value < 99.95 ? 1 : 0;
    std::string text = fmt::format("{:.{}f}", value, digits);
    if (text.find('.') != std::string::npos && unit.ns == 1e9) {  // a timeout of 90 s is not 90.0 s
      while (text.back() == '0') text.pop_back();
      if (text.back() == '.') text.pop_back();
    }
    return text + ' ' + unit.name;
  }
  return {};
}

}  // namespace conntrace::cli
