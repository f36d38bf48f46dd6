// SPDX-License-Identifier: Apache-2.0
#include <CLI/CLI.hpp>
#include <memory>
#include <string>

#include "commands/commands.h"
#include "commands/live_options.h"
#include "commands/output.h"
#include "commands/printer.h"
#include "commands/raw_writer.h"
#include "commands/terminal.h"
#include "exit_status.h"
#include "say.h"

namespace conntrace::cli {
namespace {

struct Options {
  LiveArguments live;
  bool json = false;
  bool events = false;
  bool connections = false;
  std::string color = "auto";
};

int watch(const Options& options) {
  auto output = Output::open(options.live.output);
  if (!output) {
    complain("{}", output.error().message());
    return kFailed;
  }
  Printer printer(*output, {.format = options.json ? Format::json : Format::terminal,
                            .terminal = terminal_options(output->fd(), options.color),
                            .all_connections = options.connections});
  Correlator correlator({}, options.events ? TimelineSink{} : printer.sink());
  RawWriter raw(*output);

  LiveOptions live = to_live_options(options.live);
  live.stdout_is_data = output->is_stdout() && (options.json || options.events);
  auto session = LiveSession::open(std::move(live), [&](const Event& event) {
    if (options.events)
      raw.write(event);
    else
      correlator.add(event);
  });
  if (!session) {
    correlator.finish();
    return output->finish(explain(session.error()));
  }
  int status = (*session)->run([&](MonoTime now) {
    if (!options.events) correlator.advance(static_cast<std::uint64_t>(now.count()));
    return output->flush();
  });
  correlator.finish();
  status = output->finish(status);
  if (options.events) {
    raw.account();
  } else {
    printer.summarize(correlator.stats(), options.color);
  }
  return status;
}

}  // namespace

void add_watch(CLI::App& app, Action& action) {
  auto options = std::make_shared<Options>();
  CLI::App* command = app.add_subcommand("watch", "Show what a process' connections do, as it happens");
  add_live_options(*command, options->live);
  CLI::Option* json = command->add_flag("--json", options->json, "timelines as JSON Lines on stdout");
  command->add_flag("--events", options->events, "event records instead of timelines, JSON Lines")->excludes(json);
  command->add_option("-o,--output", options->live.output, "write there instead of to stdout");
  command->add_flag("--connections", options->connections, "also connections of processes that link the library");
  add_color_option(*command, options->color);
  command->footer(
      "Of a process that links the library: each request's timeline, joined with what the kernel saw of its "
      "connection.\n"
      "Of any other: each connection's. The first line on stderr says which sources serve and what is missing.\n"
      "\n"
      "Examples:\n"
      "  conntrace watch --pid 4242\n"
      "  conntrace watch --pid 4242 --json --duration 60 > timelines.jsonl\n"
      "  conntrace watch --comm checkout --source hooks\n"
      "  conntrace watch -- curl -s https://example.com/\n"
      "\n"
      "A command keeps its exit status, 128 + N if signal N killed it; with --json or --events its own stdout goes to\n"
      "stderr.");
  command->callback([options, &action] { action = [options] { return watch(*options); }; });
}

}  // namespace conntrace::cli
