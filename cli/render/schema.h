// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

namespace conntrace::cli {

/// JSON Schema 2020-12 of event records (docs/event.schema.json), from the payloads' fields().
[[nodiscard]] std::string event_schema();
/// JSON Schema 2020-12 of timelines (docs/timeline.schema.json), from the model's fields().
[[nodiscard]] std::string timeline_schema();
/// JSON Schema 2020-12 of what `conntrace stats --json` writes (docs/stats.schema.json).
[[nodiscard]] std::string stats_schema();
/// docs/events.md: every event kind, its fields and its words.
[[nodiscard]] std::string events_markdown();

}  // namespace conntrace::cli
