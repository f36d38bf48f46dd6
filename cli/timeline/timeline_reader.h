// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string_view>
#include <variant>

#include "conntrace/error.h"
#include "timeline/model.h"

namespace conntrace::cli {

using AnyTimeline = std::variant<RequestTimeline, ConnectionTimeline, ProcessTimeline>;

/// Reads one line that to_json_line() wrote, by this version or another of the same schema. Fields that this version
/// does not know are skipped, fields that are missing keep their default.
///
/// Errors: bad_record (not JSON, not a timeline, a known field of the wrong type), newer_schema.
[[nodiscard]] Result<AnyTimeline> read_timeline(std::string_view line);

}  // namespace conntrace::cli
