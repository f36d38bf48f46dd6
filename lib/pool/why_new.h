// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <vector>

#include "pool/host_table.h"

namespace conntrace::pool {

struct Explanation {
  WhyNew why = WhyNew::no_idle;
  std::vector<Rejected> candidates;  ///< the first one's reason is `why`, if there is one; at most 4
};

/// Why the dial that is about to begin is needed. What was lost since the host's last dial comes first, then what is
/// busy, then what has another key.
[[nodiscard]] Explanation explain_dial(const Host& host, const HostTable& hosts);

}  // namespace conntrace::pool
