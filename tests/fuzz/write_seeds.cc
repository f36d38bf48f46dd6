// SPDX-License-Identifier: Apache-2.0
// write_seeds DIR: the seeds of each target as files in DIR/TARGET/, for libFuzzer to begin with.
#include <cstdio>
#include <filesystem>
#include <fstream>

#include "tests/fuzz/targets.h"

int main(int argc, char** argv) {
  if (argc != 2) {
    std::fputs("usage: write_seeds DIR\n", stderr);
    return 2;
  }
  for (const auto& target : conntrace::fuzz::all_targets()) {
    const std::filesystem::path folder = std::filesystem::path(argv[1]) / target.name;
    std::filesystem::create_directories(folder);
    int number = 0;
    for (const std::string& seed : target.seeds())
      std::ofstream(folder / std::to_string(number++), std::ios::binary) << seed;
  }
  return 0;
}
