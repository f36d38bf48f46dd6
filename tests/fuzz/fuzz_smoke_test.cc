// SPDX-License-Identifier: Apache-2.0
// The fuzz targets in the normal build: their seeds, and 20,000 inputs made from them, the same in each run.
#include <gtest/gtest.h>

#include <random>

#include "tests/fuzz/targets.h"

namespace conntrace::fuzz {
namespace {

constexpr int kRounds = 20'000;
constexpr std::size_t kMaxInput = 4096;

class Mutator {
 public:
  explicit Mutator(std::vector<std::string> seeds) : pool_(std::move(seeds)) {}

  std::string next() {
    std::string input = any();
    for (std::size_t edits = 1 + below(4); edits > 0; --edits) edit(input);
    if (input.size() > kMaxInput) input.resize(kMaxInput);
    return input;
  }

 private:
  std::size_t below(std::size_t n) { return static_cast<std::size_t>(random_() % n); }
  const std::string& any() { return pool_[below(pool_.size())]; }

  void edit(std::string& input) {
    const std::size_t at = below(input.size() + 1);
    switch (below(6)) {
      case 0: input.insert(at, 1, static_cast<char>(below(256))); break;
      case 1: input.erase(at, 1 + below(8)); break;
      case 2:
        if (at < input.size()) input[at] = static_cast<char>(input[at] ^ (1 << below(8)));
        break;
      case 3: {
        const std::string& other = any();
        const std::size_t from = below(other.size());
        input.insert(at, other, from, 1 + below(64));
        break;
      }
      case 4: input.insert(at, input, below(input.size() + 1), 1 + below(64)); break;
      default: input.resize(at); break;
    }
  }

  std::mt19937 random_{20260102};
  const std::vector<std::string> pool_;
};

class FuzzTargets : public testing::TestWithParam<Target> {};

TEST_P(FuzzTargets, Hold) {
  const Target target = GetParam();
  target.run("");
  for (const std::string& seed : target.seeds()) target.run(seed);
  Mutator mutator(target.seeds());
  for (int round = 0; round < kRounds; ++round) target.run(mutator.next());
}

INSTANTIATE_TEST_SUITE_P(All, FuzzTargets, testing::ValuesIn(all_targets()),
                         [](const auto& of) { return std::string(of.param.name); });

}  // namespace
}  // namespace conntrace::fuzz
