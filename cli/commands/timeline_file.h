// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <string>

#include "timeline/correlator.h"

namespace conntrace::cli {

/// Reads a file of timelines, or of event records, which are correlated first ("-": stdin), and gives every timeline to
/// the sink while `go_on` says so. What is wrong with the file goes to stderr. Returns kDone, or kFailed if it could
/// not be read or something in it was neither.
[[nodiscard]] int read_timelines(const std::string& path, const TimelineSink& sink, const std::function<bool()>& go_on);

}  // namespace conntrace::cli
