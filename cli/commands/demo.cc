// SPDX-License-Identifier: Apache-2.0
#include <CLI/CLI.hpp>
#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include "commands/commands.h"
#include "commands/output.h"
#include "commands/printer.h"
#include "commands/terminal.h"
#include "demo/demo_recording.h"
#include "demo/demo_servers.h"
#include "demo/demo_traffic.h"
#include "exit_status.h"
#include "render/summary.h"
#include "say.h"

namespace conntrace::cli {
namespace {

struct Options {
  bool json = false;
  std::uint16_t port = 0;
  std::string color = "auto";
};

/// All timelines of the demo, kept so that they can be shown in the demo's own order.
struct Timelines {
  std::vector<RequestTimeline> requests;
  std::vector<ConnectionTimeline> connections;
  Summary summary;

  [[nodiscard]] const RequestTimeline* request(RequestId number) const {
    const auto found = std::find_if(requests.begin(), requests.end(),
                                    [&](const RequestTimeline& timeline) { return timeline.request.number == number; });
    return found != requests.end() ? &*found : nullptr;
  }
  /// Of the connections to the same server, the one that was closed last before the request.
  [[nodiscard]] const ConnectionTimeline* previous(const RequestTimeline& request) const {
    const ConnectionTimeline* last = nullptr;
    for (const ConnectionTimeline& connection : connections) {
      if (!connection.closed || !request.connection || connection.remote != request.connection->remote) continue;
      if (closed_at(connection) > request.start_mono_ns) continue;
      if (last == nullptr || closed_at(connection) > closed_at(*last)) last = &connection;
    }
    return last;
  }
  /// Precondition: it is closed.
  static std::uint64_t closed_at(const ConnectionTimeline& connection) {
    return connection.start_mono_ns + static_cast<std::uint64_t>(connection.closed->at_ns);
  }
};

void show(const Situations& situations, const Timelines& timelines, const TerminalOptions& terminal, Output& output) {
  int number = 0;
  for (const Situation& situation : situations) {
    std::string text = fmt::format("{}. {}: {}\n\n", ++number, situation.title, situation.about);
    const RequestTimeline* request = timelines.request(situation.request);
    if (request == nullptr) continue;
    if (situation.with_previous) {
      if (const ConnectionTimeline* connection = timelines.previous(*request)) render(*connection, terminal, text);
    }
    render(*request, terminal, text);
    text += '\n';
    output.write(text);
  }
}

int demo(const Options& options) {
  auto output = Output::open({});
  auto servers = DemoServers::start(options.port);
  if (!servers) {
    complain("{}", servers.error().message());
    return kFailed;
  }
  DemoRecording recording;
  for (const std::string& missing : recording.missing()) complain("not shown, and null: {}", missing);
  if (!(*servers)->own_dns()) {
    complain("not shown: DNS packets; names are asked as this machine is configured, since only root may change that");
  }
  const auto situations = make_demo_traffic(**servers, *recording.trace());
  if (!situations) {
    complain("{}", situations.error().message());
    return kFailed;
  }
  auto events = recording.end();
  if (!events) {
    complain("{}", events.error().message());
    return kFailed;
  }

  Timelines timelines;
  Printer printer(*output, {.format = Format::json});
  Correlator correlator({}, {.request =
                                 [&](const RequestTimeline& timeline) {
                                   if (options.json) printer.add(timeline);
                                   timelines.summary.add(timeline);
                                   timelines.requests.push_back(timeline);
                                 },
                             .connection =
                                 [&](const ConnectionTimeline& timeline) {
                                   if (options.json) printer.add(timeline);
                                   timelines.summary.add(timeline);
                                   timelines.connections.push_back(timeline);
                                 },
                             .process =
                                 [&](const ProcessTimeline& timeline) {
                                   if (options.json) printer.add(timeline);
                                   timelines.summary.add(timeline);
                                 }});
  for (const Event& event : *events) correlator.add(event);
  correlator.finish();
  if (!options.json) {
    const TerminalOptions terminal = terminal_options(output->fd(), options.color);
    show(*situations, timelines, terminal, *output);
    std::string text;
    timelines.summary.render(correlator.stats(), terminal, text);
    output->write(text);
  }
  return output->finish(kDone);
}

}  // namespace

void add_demo(CLI::App& app, Action& action) {
  auto options = std::make_shared<Options>();
  CLI::App* command = app.add_subcommand("demo", "Show seven situations on real traffic, seen from both sides");
  command->add_flag("--json", options->json, "the timelines as JSON Lines on stdout, and nothing else there");
  command->add_option("--port", options->port, "port of the first server on 127.0.0.1; 0: a free one")
      ->capture_default_str();
  add_color_option(*command, options->color);
  command->footer(
      "Starts small servers of its own, sends requests through the library's client, and watches itself: through its\n"
      "hooks and, as root, through the kernel. As root it does so in a network namespace of its own, where it answers\n"
      "DNS itself. Nothing of the machine is changed.\n"
      "\n"
      "Examples:\n"
      "  conntrace demo\n"
      "  conntrace demo --json | jq 'select(.kind == \"request\") | .findings'");
  command->callback([options, &action] { action = [options] { return demo(*options); }; });
}

}  // namespace conntrace::cli
