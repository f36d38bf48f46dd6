// SPDX-License-Identifier: Apache-2.0
#include <CLI/CLI.hpp>
#include <memory>

#include "commands/commands.h"
#include "commands/live_options.h"
#include "commands/output.h"
#include "commands/raw_writer.h"
#include "exit_status.h"
#include "say.h"

namespace conntrace::cli {
namespace {

int record(const LiveArguments& arguments) {
  auto output = Output::open(arguments.output);
  if (!output) {
    complain("{}", output.error().message());
    return kFailed;
  }
  RawWriter raw(*output);
  LiveOptions live = to_live_options(arguments);
  live.stdout_is_data = output->is_stdout();
  auto session = LiveSession::open(std::move(live), [&](const Event& event) { raw.write(event); });
  if (!session) return output->finish(explain(session.error()));
  int status = (*session)->run([&](MonoTime) { return output->flush(); });
  status = output->finish(status);
  raw.account();
  return status;
}

}  // namespace

void add_record(CLI::App& app, Action& action) {
  auto arguments = std::make_shared<LiveArguments>();
  CLI::App* command = app.add_subcommand("record", "Keep what a process' connections do, as event records");
  add_live_options(*command, *arguments);
  command->add_option("-o,--output", arguments->output, "file to write; - is stdout")->required();
  command->footer(
      "Examples:\n"
      "  conntrace record --pid 4242 --duration 60 -o events.jsonl\n"
      "  conntrace correlate events.jsonl | jq 'select(.kind == \"request\")'\n"
      "\n"
      "Whole lines alone reach the file, also when the disk is full.");
  command->callback([arguments, &action] { action = [arguments] { return record(*arguments); }; });
}

}  // namespace conntrace::cli
