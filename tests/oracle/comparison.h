// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <gtest/gtest.h>

#include <functional>
#include <string>
#include <vector>

#include "oracle/stage.h"

namespace conntrace::test {

/// Lines that are Go's where others are ours, and why that is right. Both are looked for: when either changes, or they
/// become the same, the comparison fails.
struct Difference {
  int request = 0;                ///< 0: hooks of no request
  std::vector<std::string> go;    ///< one after another in Go's; empty: nothing, at the end
  std::vector<std::string> ours;  ///< in their place
  const char* why = "";
};

/// A line that is once in each, at a place that Go leaves open.
struct Unordered {
  int request = 0;
  std::string line;
  const char* why = "";
};

struct Allowed {
  std::vector<Difference> differences = {};
  std::vector<Unordered> unordered = {};
};

/// Scenarios that Go's net/http plays, and our Client, each against its own servers. What they tell must be the same.
class GoOracle : public testing::Test {
 public:
  using Play = std::function<void(Stage&)>;

 protected:
  void compare(const Play& play, const Allowed& allowed = {});
};

/// Runs all tests with the oracle whose path is the first argument. Without one it says why, and returns 77.
int run_with_oracle(int argc, char** argv);

}  // namespace conntrace::test
