// SPDX-License-Identifier: Apache-2.0
// Runs the tests if this machine lets BPF programs attach. Otherwise says what is missing and exits with 77 (skipped),
// or with 1 if CONNTRACE_REQUIRE_BPF=1: a machine that must test them may not quietly stop doing so.
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <string_view>

#include "watch.h"

int main(int argc, char** argv) {
  testing::InitGoogleTest(&argc, argv);
  auto opened = conntrace::agent::Observer::open(conntrace::bpftest::Watch::options_for({getpid()}),
                                                 [](const conntrace::Event&) {});
  if (opened) {
    opened->reset();
    return RUN_ALL_TESTS();
  }
  const char* const required = std::getenv("CONNTRACE_REQUIRE_BPF");
  const bool fail = required != nullptr && std::string_view(required) == "1";
  std::fprintf(stderr, "BPF programs cannot be tested here: %s\n", opened.error().message().c_str());
  return fail ? 1 : 77;
}
