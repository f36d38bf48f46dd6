// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "join_traffic.h"
#include "timeline/correlator.h"

namespace conntrace::test {

/// What the correlator made of the records.
struct Timelines {
  std::vector<cli::RequestTimeline> requests;
  std::vector<cli::ConnectionTimeline> connections;
  cli::CorrelatorStats stats;

  /// Collects here; call it before the correlator is made.
  [[nodiscard]] cli::TimelineSink sink();
};

/// Compares each timeline with what client, servers and kernel said. Returns one line for each mismatch.
/// `kernel`: the records of the agent are among them, so who closed first, and how, must be known.
[[nodiscard]] std::vector<std::string> mismatches(const Timelines& timelines, const Evidence& evidence, bool kernel);

/// The lines of `records` that carry the cookies that the mismatches name; for the log of a failed test.
[[nodiscard]] std::string records_behind(const std::vector<std::string>& mismatches, std::string_view records);

}  // namespace conntrace::test
