// SPDX-License-Identifier: Apache-2.0
#include "render/json_value.h"
#include "stats/report_output.h"

namespace conntrace::cli {

std::string to_json_line(const StatsReport& report) {
  Json out = {{"schema", kStatsSchema}};
  append_fields(report, out);
  return dump_line(out);
}

}  // namespace conntrace::cli
