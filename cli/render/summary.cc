// SPDX-License-Identifier: Apache-2.0
#include "render/summary.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <vector>

#include "render/facts_text.h"
#include "render/terminal_text.h"
#include "stats/report_output.h"
#include "stats/statistics.h"
#include "timeline/duration_text.h"

namespace conntrace::cli {

struct Summary::Numbers {
  Statistics statistics;
  std::vector<std::uint64_t> queued_ns;  ///< of each request that waited behind a limit
  struct Descriptors {
    ProcessFacts process;
    FdFacts last;
    std::uint64_t most = 0;
  };
  std::map<std::uint32_t, Descriptors> descriptors;
};

Summary::Summary() : numbers_(std::make_unique<Numbers>()) {}
Summary::~Summary() = default;
Summary::Summary(Summary&&) noexcept = default;
Summary& Summary::operator=(Summary&&) noexcept = default;

void Summary::add(const RequestTimeline& timeline) {
  numbers_->statistics.add(timeline);
  std::uint64_t queued_ns = 0;
  bool queued = false;
  for (const PhaseTimeline& phase : timeline.phases) {
    const auto* blocked = std::get_if<BlockedFacts>(&phase.facts);
    if (blocked == nullptr || blocked->cause == "dial") continue;
    queued = true;
    queued_ns += phase.duration_ns;
  }
  if (queued) numbers_->queued_ns.push_back(queued_ns);
}

void Summary::add(const ConnectionTimeline& timeline) { numbers_->statistics.add(timeline); }

void Summary::add(const ProcessTimeline& timeline) {
  numbers_->statistics.add(timeline);
  if (!timeline.fds) return;
  Numbers::Descriptors& entry = numbers_->descriptors[timeline.process.pid];
  entry.process = timeline.process;
  entry.last = *timeline.fds;
  entry.most = std::max(entry.most, timeline.fds->open);
}

void Summary::render(const CorrelatorStats& stats, const TerminalOptions& options, std::string& out) const {
  const Numbers& n = *numbers_;
  const auto row = [&](const char* name, const std::string& text) {
    wrap(text, fmt::format("{:<13}", name), TerminalLine::Style::plain, options, out);
  };
  TerminalLine(options, out).text("Summary", TerminalLine::Style::bold).end();
  const StatsReport report = n.statistics.report();
  row("requests", requests_text(report));
  if (report.reuse_ratio) row("reuse", reuse_text(report.reused, report.fresh));
  if (n.queued_ns.empty()) {
    row("queue", "nobody waited behind a limit");
  } else {
    std::vector<std::uint64_t> sorted = n.queued_ns;
    std::ranges::sort(sorted);
    std::uint64_t total_ns = 0;
    for (const std::uint64_t ns : sorted) total_ns += ns;
    row("queue", fmt::format("{} waited {} in all, p50 {}, longest {}", sorted.size(), duration_text(total_ns),
                             duration_text(sorted[(sorted.size() - 1) / 2]), duration_text(sorted.back())));
  }
  std::map<CloseReason, std::uint64_t> by_reason;
  std::map<ClosedBy, std::uint64_t> by_whom;
  for (const CloseStats& close : report.closes) {
    by_reason[close.reason] += close.count;
    by_whom[close.by] += close.count;
  }
  std::uint64_t never_usable = 0;
  for (const CloseReason reason : {CloseReason::dial_failed, CloseReason::dial_lost_race}) {
    if (const auto found = by_reason.find(reason); found != by_reason.end()) never_usable += found->second;
  }
  row("connections", fmt::format("{}: {} closed ({} of them never usable), {} still open", report.connections,
                                 report.connections - report.still_open, never_usable, report.still_open));
  if (!by_reason.empty()) row("closed for", counts_text(by_reason));
  if (!by_whom.empty()) row("closed by", counts_text(by_whom));
  for (const auto& [pid, entry] : n.descriptors)
    row("descriptors",
        fmt::format("{}: {}, at most {}", process_text(entry.process), fds_text(entry.last), entry.most));
  std::map<std::string, std::uint64_t> findings;
  for (const auto& [code, count] : report.findings) findings[code] = count;
  if (!findings.empty()) row("findings", counts_text(findings));
  std::string records = fmt::format("{}: {} used, {} of unknown kind, {} without a match", stats.records, stats.used,
                                    stats.unknown, stats.unmatched);
  if (stats.late != 0) records += fmt::format("; {} came late", stats.late);
  records += fmt::format("; {} lost", stats.lost);
  row("records", records);
}

}  // namespace conntrace::cli
