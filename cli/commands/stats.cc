// SPDX-License-Identifier: Apache-2.0
#include <CLI/CLI.hpp>
#include <memory>
#include <string>

#include "commands/commands.h"
#include "commands/output.h"
#include "commands/terminal.h"
#include "commands/timeline_file.h"
#include "exit_status.h"
#include "stats/report_output.h"
#include "stats/statistics.h"

namespace conntrace::cli {
namespace {

struct Options {
  std::string file;
  std::string color = "auto";
  bool json = false;
};

int stats(const Options& options) {
  auto output = Output::open("");
  if (!output) return kFailed;
  Statistics statistics;
  const auto add = [&](const auto& timeline) { statistics.add(timeline); };
  const int status =
      read_timelines(options.file, {.request = add, .connection = add, .process = add}, [] { return true; });
  const StatsReport report = statistics.report();
  std::string text;
  if (options.json) {
    text = to_json_line(report);
  } else {
    render(report, terminal_options(output->fd(), options.color), text);
  }
  output->write(text);
  return output->finish(status);
}

}  // namespace

void add_stats(CLI::App& app, Action& action) {
  auto options = std::make_shared<Options>();
  CLI::App* command =
      app.add_subcommand("stats", "Add timelines up: times by phase and host, reuse, queueing, closes, idle times");
  command->add_option("FILE", options->file, "timelines or event records, JSON Lines; - is stdin")->required();
  command->add_flag("--json", options->json, "one JSON object (conntrace schema stats)");
  add_color_option(*command, options->color);
  command->footer(
      "Examples:\n"
      "  conntrace stats timelines.jsonl\n"
      "  conntrace stats events.jsonl --json | jq '.queue'");
  command->callback([options, &action] { action = [options] { return stats(*options); }; });
}

}  // namespace conntrace::cli
