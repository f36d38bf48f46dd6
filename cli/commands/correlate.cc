// SPDX-License-Identifier: Apache-2.0
#include <CLI/CLI.hpp>
#include <memory>
#include <string>
#include <vector>

#include "commands/commands.h"
#include "commands/event_files.h"
#include "commands/output.h"
#include "commands/printer.h"
#include "exit_status.h"
#include "say.h"

namespace conntrace::cli {
namespace {

struct Options {
  std::vector<std::string> files;
  std::string output;
};

int correlate(const Options& options) {
  for (const std::string& file : options.files) {
    if (is_same_file(options.output, file)) {
      complain("{} is an input and the output; nothing was written", file);
      return kWrongUsage;
    }
  }
  auto files = open_event_files(options.files);
  if (!files) return kFailed;
  auto output = Output::open(options.output);
  if (!output) {
    complain("{}", output.error().message());
    return kFailed;
  }
  Printer printer(*output, {.format = Format::json});
  Correlator correlator({}, printer.sink());
  const int status = correlate_files(*files, correlator, [&] { return output->usable(); });
  return output->finish(status);
}

}  // namespace

void add_correlate(CLI::App& app, Action& action) {
  auto options = std::make_shared<Options>();
  CLI::App* command = app.add_subcommand("correlate", "Turn event records into timelines, JSON Lines");
  command->add_option("FILE", options->files, "event records, JSON Lines; - is stdin; several are merged by time")
      ->required();
  command->add_option("-o,--output", options->output, "where timelines go; default stdout");
  command->footer(
      "Examples:\n"
      "  conntrace correlate application.jsonl kernel.jsonl -o timelines.jsonl\n"
      "  ssh host conntrace record --pid 4242 -o - | conntrace correlate -\n"
      "\n"
      "Unknown kinds and fields are skipped, and so is a last line that was cut off; other lines that are not event\n"
      "records are skipped, counted, and make the exit status 1.");
  command->callback([options, &action] { action = [options] { return correlate(*options); }; });
}

}  // namespace conntrace::cli
