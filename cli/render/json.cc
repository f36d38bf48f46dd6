// SPDX-License-Identifier: Apache-2.0
#include "render/json.h"

#include "render/json_value.h"
#include "render/shorten.h"

namespace conntrace::cli {
namespace {

template <class Timeline>
std::string line_of(const Timeline& timeline, const char* kind) {
  Json out = {{"schema", kTimelineSchema}, {"kind", kind}};
  append_fields(timeline, out);
  if (timeline.truncated) out["truncated"] = true;
  return dump_line(out);
}

template <class Timeline>
std::string short_line_of(const Timeline& timeline, const char* kind) {
  std::string line = line_of(timeline, kind);
  if (line.size() < kMaxTimelineLine) return line;
  Timeline shorter = timeline;
  shorter.truncated = true;
  for (const Cut& cut : kCuts) {
    shorten(shorter, cut);
    line = line_of(shorter, kind);
    if (line.size() < kMaxTimelineLine) break;
  }
  return line;
}

}  // namespace

std::string to_json_line(const RequestTimeline& timeline) { return short_line_of(timeline, "request"); }
std::string to_json_line(const ConnectionTimeline& timeline) { return short_line_of(timeline, "connection"); }
std::string to_json_line(const ProcessTimeline& timeline) { return short_line_of(timeline, "process"); }

}  // namespace conntrace::cli
