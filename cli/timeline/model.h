// SPDX-License-Identifier: Apache-2.0
#pragma once

// Timelines: passive data that owns what it says. The fields() of each struct are the JSON keys in their order; the
// writer (render/json.h), the reader (timeline/timeline_reader.h) and the schema (render/schema.h) walk them.
// Empty optionals are null in JSON and mean "not known" or "does not apply"; `unavailable` says why for the former.

#include "timeline/connection_model.h"
#include "timeline/phase_model.h"
#include "timeline/process_model.h"
#include "timeline/request_model.h"

namespace conntrace::cli {

inline constexpr const char* kTimelineSchema = "conntrace.timeline/1";

}  // namespace conntrace::cli
