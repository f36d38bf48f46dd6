// SPDX-License-Identifier: Apache-2.0
#include "pool/why_new.h"

namespace conntrace::pool {

Explanation explain_dial(const Host& host, const HostTable& hosts) {
  constexpr std::size_t kMax = 4;
  Explanation result;
  std::vector<Rejected>& candidates = result.candidates;
  for (std::size_t i = 0; i < host.recent.size() && candidates.size() < kMax; ++i) {
    candidates.push_back(host.recent.newest(i));
  }
  for (const Connection& connection : host.active) {
    if (candidates.size() == kMax) break;
    candidates.push_back({connection.id, WhyNew::all_busy});
  }
  if (candidates.empty()) hosts.idle_elsewhere(host, kMax, candidates);
  if (!candidates.empty()) result.why = candidates.front().reason;
  return result;
}

}  // namespace conntrace::pool
