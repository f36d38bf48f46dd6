// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <string>

#include "render/waterfall.h"
#include "timeline/correlator.h"
#include "timeline/model.h"

namespace conntrace::cli {

/// Numbers over many timelines: requests, reuse, queue time, closes by reason, descriptors, and what was lost.
///
/// Threading: one thread. Memory: bounded, but for 8 bytes of each request that waited.
class Summary {
 public:
  Summary();
  ~Summary();
  Summary(Summary&&) noexcept;
  Summary& operator=(Summary&&) noexcept;

  void add(const RequestTimeline& timeline);
  void add(const ConnectionTimeline& timeline);
  void add(const ProcessTimeline& timeline);

  /// Appends the summary as lines for people.
  void render(const CorrelatorStats& stats, const TerminalOptions& options, std::string& out) const;

 private:
  struct Numbers;
  std::unique_ptr<Numbers> numbers_;
};

}  // namespace conntrace::cli
