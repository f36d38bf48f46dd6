// SPDX-License-Identifier: Apache-2.0
#include "commands/timeline_file.h"

#include "commands/event_files.h"
#include "exit_status.h"
#include "say.h"
#include "timeline/timeline_reader.h"

namespace conntrace::cli {
namespace {

/// Timelines, line by line.
int read_lines(InputFile& input, const TimelineSink& sink, const std::function<bool()>& go_on) {
  std::string rest;
  std::uint64_t number = 0;
  int status = kDone;
  const auto give = [&](const auto& timeline) {
    using Timeline = std::decay_t<decltype(timeline)>;
    if constexpr (std::is_same_v<Timeline, RequestTimeline>) {
      sink.request(timeline);
    } else if constexpr (std::is_same_v<Timeline, ConnectionTimeline>) {
      sink.connection(timeline);
    } else {
      sink.process(timeline);
    }
  };
  const auto take = [&](std::string_view line, bool last) {
    ++number;
    if (line.find_first_not_of(" \t\r") == std::string_view::npos) return;
    const auto timeline = read_timeline(line);
    if (timeline) {
      std::visit(give, *timeline);
    } else if (last) {
      complain("{} line {}: the last line is cut off; it was skipped", input.name(), number);
    } else {
      complain("{} line {}: {}", input.name(), number, timeline.error().message());
      status = kFailed;
    }
  };
  while (go_on()) {
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

}  // namespace

int read_timelines(const std::string& path, const TimelineSink& sink, const std::function<bool()>& go_on) {
  auto input = InputFile::open(path);
  const auto first = input ? input->first_line() : Result<std::string_view>(Failure(input.error()));
  if (!first) {
    complain("{}", first.error().message());
    return kFailed;
  }
  if (first->find("\"conntrace.timeline/") != std::string_view::npos) return read_lines(*input, sink, go_on);
  std::vector<EventFile> files;
  files.emplace_back(std::move(*input));
  Correlator correlator({}, sink);
  return correlate_files(files, correlator, go_on);
}

}  // namespace conntrace::cli
