// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace conntrace::fuzz {

/// One entry for bytes that a peer may send. libFuzzer and the unit test run the same.
struct Target {
  std::string_view name;
  /// Aborts with a message if something that must hold does not.
  void (*run)(std::string_view input);
  /// What to begin with.
  std::vector<std::string> (*seeds)();
};

[[nodiscard]] Target http1_response();
[[nodiscard]] Target body_decoder();
[[nodiscard]] Target set_cookie();

inline std::vector<Target> all_targets() { return {http1_response(), body_decoder(), set_cookie()}; }

/// Ends the process, as libFuzzer expects of what it found.
void require(bool holds, const char* what);

}  // namespace conntrace::fuzz
