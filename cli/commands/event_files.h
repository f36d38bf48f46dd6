// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "sources/input_file.h"
#include "timeline/correlator.h"

namespace conntrace::cli {

/// Opens all of them, or says on stderr which cannot be read.
[[nodiscard]] std::optional<std::vector<EventFile>> open_event_files(const std::vector<std::string>& paths);

/// Correlates the files while `go_on` says so, and tells on stderr what became of every record. Returns kDone, or
/// kFailed if something in them was not an event record.
[[nodiscard]] int correlate_files(std::vector<EventFile>& files, Correlator& correlator,
                                  const std::function<bool()>& go_on);

}  // namespace conntrace::cli
