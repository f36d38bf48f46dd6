// SPDX-License-Identifier: Apache-2.0
#include "commands/event_files.h"

#include "exit_status.h"
#include "say.h"

namespace conntrace::cli {
namespace {

/// What was wrong with a file. False: more than a last line that was cut off.
bool report(const EventFile& file) {
  const RecordReaderStats& stats = file.stats();
  if (file.error()) {
    complain("{}", file.error()->message());
  } else {
    for (const RecordReaderStats::Problem& problem : stats.problems) complain("{}", problem.what);
    if (stats.malformed > stats.problems.size()) {
      complain("{}: {} more lines are not event records", file.name(), stats.malformed - stats.problems.size());
    }
  }
  return !file.error() && stats.malformed == (stats.unfinished_last_line ? 1 : 0);
}

}  // namespace

std::optional<std::vector<EventFile>> open_event_files(const std::vector<std::string>& paths) {
  std::vector<EventFile> files;
  bool all = true;
  for (const std::string& path : paths) {
    auto input = InputFile::open(path);
    if (!input) complain("{}", input.error().message());
    all = all && input.has_value();
    if (input) files.emplace_back(std::move(*input));
  }
  if (!all) return std::nullopt;
  return files;
}

int correlate_files(std::vector<EventFile>& files, Correlator& correlator, const std::function<bool()>& go_on) {
  merge_events(files, [&](const Event& event) {
    correlator.add(event);
    return go_on();
  });
  correlator.finish();
  bool good = true;
  for (const EventFile& file : files) good = report(file) && good;
  const CorrelatorStats stats = correlator.stats();
  complain("{} records: {} used, {} of unknown kinds, {} unmatched, {} lost before they got here", stats.records,
           stats.used, stats.unknown, stats.unmatched, stats.lost);
  return good ? kDone : kFailed;
}

}  // namespace conntrace::cli
