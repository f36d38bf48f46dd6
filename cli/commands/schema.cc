// SPDX-License-Identifier: Apache-2.0
#include "render/schema.h"

#include <CLI/CLI.hpp>
#include <memory>
#include <string>

#include "commands/commands.h"
#include "commands/output.h"
#include "exit_status.h"
#include "say.h"

namespace conntrace::cli {

void add_schema(CLI::App& app, Action& action) {
  auto what = std::make_shared<std::string>("timeline");
  CLI::App* command = app.add_subcommand("schema", "Print the JSON Schema of event records, timelines or statistics");
  command->add_option("what", *what, "event, timeline, stats, or events.md for the reference of all events")
      ->check(CLI::IsMember({"event", "timeline", "stats", "events.md"}))
      ->capture_default_str();
  command->footer("Example:\n  conntrace schema timeline > timeline.schema.json");
  command->callback([what, &action] {
    action = [what] {
      auto output = Output::open("");
      if (!output) return int{kFailed};
      output->write(*what == "event"      ? event_schema()
                    : *what == "timeline" ? timeline_schema()
                    : *what == "stats"    ? stats_schema()
                                          : events_markdown());
      return output->finish(kDone);
    };
  });
}

}  // namespace conntrace::cli
