// SPDX-License-Identifier: Apache-2.0
#include "oracle/comparison.h"

#include <algorithm>
#include <array>
#include <cstdio>

#include "oracle/client_player.h"
#include "oracle/go_player.h"

namespace conntrace::test {
namespace {

using Lines = std::vector<std::string>;
using Told = std::map<int, Lines>;

std::string oracle_path;

/// Differences of every scenario.
struct Prefix {
  const char* go;
  const char* ours;
};
constexpr std::array kNetworks = {
    // Go passes on what it was asked to dial, "tcp"; ours says what the address is.
    Prefix{"connect_start tcp 127.", "connect_start tcp4 127."},
    Prefix{"connect_start tcp [", "connect_start tcp6 ["},
    Prefix{"connect_done tcp 127.", "connect_done tcp4 127."},
    Prefix{"connect_done tcp [", "connect_done tcp6 ["},
};

void use_our_networks(Lines& go) {
  for (std::string& line : go) {
    if (!line.starts_with("connect_")) continue;
    const auto* found =
        std::find_if(kNetworks.begin(), kNetworks.end(), [&](const Prefix& each) { return line.starts_with(each.go); });
    ASSERT_NE(found, kNetworks.end()) << "Go says now " << line;
    line.replace(0, std::string(found->go).size(), found->ours);
  }
}

void take_out(Lines& lines, const Unordered& unordered, const char* whose) {
  EXPECT_EQ(std::count(lines.begin(), lines.end(), unordered.line), 1) << whose << " of request " << unordered.request;
  std::erase(lines, unordered.line);
}

/// Puts ours in the place of Go's.
void apply(Told& go, const Difference& difference) {
  Lines& lines = go[difference.request];
  const auto at = difference.go.empty()
                      ? lines.end()
                      : std::search(lines.begin(), lines.end(), difference.go.begin(), difference.go.end());
  if (!difference.go.empty() && at == lines.end()) {
    ADD_FAILURE() << "a known difference is gone: request " << difference.request << ", "
                  << testing::PrintToString(difference.go) << ": " << difference.why;
    return;
  }
  const auto after = lines.erase(at, at + static_cast<Lines::difference_type>(difference.go.size()));
  lines.insert(after, difference.ours.begin(), difference.ours.end());
}

std::string side_by_side(const Lines& go, const Lines& ours) {
  std::string text = "  Go, known differences applied               | conntrace\n";
  for (std::size_t i = 0; i < std::max(go.size(), ours.size()); ++i) {
    std::string left = i < go.size() ? go[i] : "";
    const std::string right = i < ours.size() ? ours[i] : "";
    const char* mark = left == right ? "  " : "! ";
    left.resize(std::max<std::size_t>(left.size(), 60), ' ');
    text += mark + left + "| " + right + "\n";
  }
  return text;
}

Told perform(const GoOracle::Play& play, const Stage::Maker& maker, const char* whose) {
  Stage stage(maker);
  try {
    play(stage);
    stage.settle();
  } catch (const std::exception& error) {
    ADD_FAILURE() << whose << ": " << error.what();
  }
  Told told = stage.told();
  EXPECT_EQ(stage.player().end(), "") << whose;
  return told;
}

}  // namespace

void GoOracle::compare(const Play& play, const Allowed& allowed) {
  Told ours = perform(
      play, [](const TransportOptions& o) { return std::make_unique<ClientPlayer>(o); }, "conntrace");
  Told go = perform(
      play, [](const TransportOptions& o) { return std::make_unique<GoPlayer>(oracle_path, o); }, "Go");
  for (auto& [number, lines] : go) use_our_networks(lines);
  for (const Unordered& each : allowed.unordered) {
    take_out(go[each.request], each, "Go");
    take_out(ours[each.request], each, "conntrace");
  }
  for (const Difference& each : allowed.differences) apply(go, each);
  EXPECT_GT(go.size(), 2u) << "nothing was played";
  for (auto& [number, lines] : go) {
    const std::string what = number == -1 ? "servers" : "request " + std::to_string(number);
    EXPECT_EQ(lines, ours[number]) << what << "\n" << side_by_side(lines, ours[number]);
  }
  EXPECT_EQ(go.size(), ours.size());
}

int run_with_oracle(int argc, char** argv) {
  testing::InitGoogleTest(&argc, argv);
  if (argc < 2) {
    std::fprintf(stderr, "there is nothing to compare with: Go was not there when this was configured (golang-go)\n");
    return 77;
  }
  oracle_path = argv[1];
  return RUN_ALL_TESTS();
}

}  // namespace conntrace::test
