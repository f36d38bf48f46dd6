// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <vector>

#include "timeline/model.h"

namespace conntrace::cli {

// What follows from a timeline for sure: docs/findings.md is the catalogue. Healthy traffic yields none.

/// An attempt on a connection that had served before and that the peer closed without an answer.
struct FailedReuse {
  std::uint32_t attempt = 1;
  std::uint64_t connection = 0;
  std::optional<std::uint64_t> idle_ns;
  std::optional<bool> peer_closed_first;  ///< before the attempt got it; empty: no kernel source says when
};

/// What the timeline does not say itself.
struct RequestEvidence {
  std::vector<FailedReuse> failed_reuses;
  std::uint64_t limit_hits_during = 0;
};

/// The timelines are whole but for their findings.
[[nodiscard]] std::vector<Finding> findings_of(const RequestTimeline& timeline, const RequestEvidence& evidence);
/// `library`, `kernel`: who each says closed first; unknown if it does not say.
[[nodiscard]] std::vector<Finding> findings_of(const ConnectionTimeline& timeline, ClosedBy library, ClosedBy kernel);
[[nodiscard]] std::vector<Finding> findings_of(const ProcessTimeline& timeline);

}  // namespace conntrace::cli
