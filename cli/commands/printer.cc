// SPDX-License-Identifier: Apache-2.0
#include "commands/printer.h"

#include <unistd.h>

#include "commands/terminal.h"
#include "render/json.h"
#include "say.h"

namespace conntrace::cli {

TimelineSink Printer::sink() {
  return {.request = [this](const RequestTimeline& timeline) { add(timeline); },
          .connection = [this](const ConnectionTimeline& timeline) { add(timeline); },
          .process = [this](const ProcessTimeline& timeline) { add(timeline); }};
}

template <class Timeline>
void Printer::print(const Timeline& timeline) {
  if (options_.format == Format::json) {
    output_.write(to_json_line(timeline));
    return;
  }
  std::string lines;
  render(timeline, options_.terminal, lines);
  lines += '\n';
  output_.write(lines);
}

void Printer::add(const RequestTimeline& timeline) {
  summary_.add(timeline);
  print(timeline);
}

void Printer::add(const ConnectionTimeline& timeline) {
  summary_.add(timeline);
  const bool instrumented = timeline.number.has_value();
  if (options_.format == Format::json || options_.all_connections || !instrumented) print(timeline);
}

void Printer::add(const ProcessTimeline& timeline) {
  summary_.add(timeline);
  if (options_.format == Format::json || timeline.alarm || !timeline.findings.empty()) print(timeline);
}

void Printer::summarize(const CorrelatorStats& stats, const std::string& color) const {
  std::string text;
  summary_.render(stats, terminal_options(STDERR_FILENO, color), text);
  while (!text.empty() && text.back() == '\n') text.pop_back();
  say_line(text);
}

}  // namespace conntrace::cli
