// SPDX-License-Identifier: Apache-2.0
#include <CLI/CLI.hpp>
#include <memory>
#include <string>

#include "commands/commands.h"
#include "commands/output.h"
#include "commands/printer.h"
#include "commands/terminal.h"
#include "commands/timeline_file.h"
#include "exit_status.h"
#include "say.h"

namespace conntrace::cli {
namespace {

struct Options {
  std::string file;
  std::string request;
  std::string color = "auto";
  bool connections = false;
};

/// Shows what was asked for: everything, or the one request.
class Selector {
 public:
  Selector(Printer& printer, std::string request) : printer_(printer), request_(std::move(request)) {}

  void operator()(const RequestTimeline& timeline) {
    if (!request_.empty() && timeline.id != request_ && std::to_string(timeline.request.number) != request_) return;
    ++shown_;
    printer_.add(timeline);
  }
  template <class Timeline>
  void operator()(const Timeline& timeline) {
    if (!request_.empty()) return;
    ++shown_;
    printer_.add(timeline);
  }
  [[nodiscard]] std::uint64_t shown() const { return shown_; }

 private:
  Printer& printer_;
  const std::string request_;
  std::uint64_t shown_ = 0;
};

int show(const Options& options) {
  auto output = Output::open("");
  if (!output) return kFailed;
  Printer printer(*output, {.format = Format::terminal,
                            .terminal = terminal_options(output->fd(), options.color),
                            .all_connections = options.connections});
  Selector selector(printer, options.request);
  const auto select = [&](const auto& timeline) { selector(timeline); };
  int status = read_timelines(options.file, {.request = select, .connection = select, .process = select},
                              [&] { return output->usable(); });
  if (status == kDone && !options.request.empty() && selector.shown() == 0) {
    complain("{}: no request {}", options.file, options.request);
    status = kFailed;
  }
  return output->finish(status);
}

}  // namespace

void add_show(CLI::App& app, Action& action) {
  auto options = std::make_shared<Options>();
  CLI::App* command = app.add_subcommand("show", "Draw timelines in the terminal");
  command->add_option("FILE", options->file, "timelines or event records, JSON Lines; - is stdin")->required();
  command->add_option("--request", options->request, "only this one: its id, or its number");
  command->add_flag("--connections", options->connections, "also connections of processes that link the library");
  add_color_option(*command, options->color);
  command->footer(
      "Examples:\n"
      "  conntrace show timelines.jsonl\n"
      "  conntrace show events.jsonl --request 17");
  command->callback([options, &action] { action = [options] { return show(*options); }; });
}

}  // namespace conntrace::cli
