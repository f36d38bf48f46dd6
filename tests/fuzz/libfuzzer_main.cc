// SPDX-License-Identifier: Apache-2.0
// libFuzzer's entry. FUZZ_TARGET is the function that gives the target.
#include <cstddef>
#include <cstdint>

#include "tests/fuzz/targets.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const conntrace::fuzz::Target target = conntrace::fuzz::FUZZ_TARGET();
  target.run({reinterpret_cast<const char*>(data), size});
  return 0;
}
