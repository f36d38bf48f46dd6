// SPDX-License-Identifier: Apache-2.0
#include <CLI/CLI.hpp>
#include <memory>
#include <string>

#include "commands/commands.h"
#include "commands/event_files.h"
#include "commands/output.h"
#include "commands/printer.h"
#include "commands/terminal.h"
#include "exit_status.h"
#include "say.h"
#include "timeline/timeline_reader.h"

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

/// Reads timelines line by line. Returns an exit status.
int show_timelines(InputFile& input, Selector& selector, const Output& output) {
  std::string rest;
  std::uint64_t number = 0;
  int status = kDone;
  const auto take = [&](std::string_view line, bool last) {
    ++number;
    if (line.find_first_not_of(" \t\r") == std::string_view::npos) return;
    const auto timeline = read_timeline(line);
    if (timeline) {
      std::visit(selector, *timeline);
    } else if (last) {
      complain("{} line {}: the last line is cut off; it was skipped", input.name(), number);
    } else {
      complain("{} line {}: {}", input.name(), number, timeline.error().message());
      status = kFailed;
    }
  };
  while (output.usable()) {
    const auto piece = input.read();
    if (!piece) {
      complain("{}", piece.error().message());
      return kFailed;
    }
    if (piece->empty()) break;
    rest += *piece;
    std::size_t begin = 0;
    for (std::size_t end = 0; (end = rest.find('\n', begin)) != std::string::npos; begin = end + 1) {
      take(std::string_view(rest).substr(begin, end - begin), /*last=*/false);
    }
    rest.erase(0, begin);
  }
  if (!rest.empty()) take(rest, /*last=*/true);
  return status;
}

int show_events(InputFile input, Selector& selector, const Output& output) {
  std::vector<EventFile> files;
  files.emplace_back(std::move(input));
  const auto select = [&](const auto& timeline) { selector(timeline); };
  Correlator correlator({}, {.request = select, .connection = select, .process = select});
  return correlate_files(files, correlator, [&] { return output.usable(); });
}

int show(const Options& options) {
  auto input = InputFile::open(options.file);
  const auto first = input ? input->first_line() : Result<std::string_view>(Failure(input.error()));
  if (!first) {
    complain("{}", first.error().message());
    return kFailed;
  }
  auto output = Output::open("");
  if (!output) return kFailed;
  Printer printer(*output, {.format = Format::terminal,
                            .terminal = terminal_options(output->fd(), options.color),
                            .all_connections = options.connections});
  Selector selector(printer, options.request);
  const bool timelines = first->find("\"conntrace.timeline/") != std::string_view::npos;
  int status =
      timelines ? show_timelines(*input, selector, *output) : show_events(std::move(*input), selector, *output);
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
