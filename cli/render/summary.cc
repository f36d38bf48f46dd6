// SPDX-License-Identifier: Apache-2.0
#include "render/summary.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <vector>

#include "render/facts_text.h"
#include "render/terminal_text.h"
#include "timeline/duration_text.h"

namespace conntrace::cli {

struct Summary::Numbers {
  std::uint64_t requests = 0;
  std::uint64_t failed = 0;
  std::uint64_t incomplete = 0;
  std::uint64_t with_connection = 0;
  std::uint64_t reused = 0;
  std::vector<std::uint64_t> queued_ns;  ///< of each request that waited behind a limit
  std::uint64_t connections = 0;
  std::uint64_t never_usable = 0;
  std::uint64_t still_open = 0;
  std::map<CloseReason, std::uint64_t> by_reason;
  std::map<ClosedBy, std::uint64_t> by_whom;
  std::map<std::string, std::uint64_t> findings;
  struct Descriptors {
    ProcessFacts process;
    FdFacts last;
    std::uint64_t most = 0;
  };
  std::map<std::uint32_t, Descriptors> descriptors;

  void count(const std::vector<Finding>& list) {
    for (const Finding& finding : list) ++findings[finding.code];
  }
};

Summary::Summary() : numbers_(std::make_unique<Numbers>()) {}
Summary::~Summary() = default;
Summary::Summary(Summary&&) noexcept = default;
Summary& Summary::operator=(Summary&&) noexcept = default;

void Summary::add(const RequestTimeline& timeline) {
  Numbers& n = *numbers_;
  ++n.requests;
  if (timeline.error) ++n.failed;
  if (!timeline.complete) ++n.incomplete;
  if (timeline.connection && timeline.connection->reused) {
    ++n.with_connection;
    if (*timeline.connection->reused) ++n.reused;
  }
  std::uint64_t queued_ns = 0;
  bool queued = false;
  for (const PhaseTimeline& phase : timeline.phases) {
    const auto* blocked = std::get_if<BlockedFacts>(&phase.facts);
    if (blocked == nullptr || blocked->cause == "dial") continue;
    queued = true;
    queued_ns += phase.duration_ns;
  }
  if (queued) n.queued_ns.push_back(queued_ns);
  n.count(timeline.findings);
}

void Summary::add(const ConnectionTimeline& timeline) {
  Numbers& n = *numbers_;
  ++n.connections;
  n.count(timeline.findings);
  if (!timeline.closed) {
    ++n.still_open;
    return;
  }
  const CloseReason reason = timeline.closed->reason;
  if (reason == CloseReason::dial_failed || reason == CloseReason::dial_lost_race) ++n.never_usable;
  ++n.by_reason[reason];
  ++n.by_whom[timeline.closed->by];
}

void Summary::add(const ProcessTimeline& timeline) {
  numbers_->count(timeline.findings);
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
  std::string requests = fmt::format("{}: {} ok, {} failed", n.requests, n.requests - n.failed, n.failed);
  if (n.incomplete != 0) requests += fmt::format(", {} incomplete", n.incomplete);
  row("requests", requests);
  if (n.with_connection != 0)
    row("reuse", fmt::format("{} of {} on a used connection ({:.1f} %)", n.reused, n.with_connection,
                             100.0 * static_cast<double>(n.reused) / static_cast<double>(n.with_connection)));
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
  row("connections", fmt::format("{}: {} closed ({} of them never usable), {} still open", n.connections,
                                 n.connections - n.still_open, n.never_usable, n.still_open));
  std::string closes;
  for (const auto& [reason, count] : n.by_reason)
    closes += fmt::format("{}{} {}", closes.empty() ? "" : ", ", to_string(reason), count);
  if (!closes.empty()) row("closed for", closes);
  std::string whom;
  for (const auto& [by, count] : n.by_whom)
    whom += fmt::format("{}{} {}", whom.empty() ? "" : ", ", to_string(by), count);
  if (!whom.empty()) row("closed by", whom);
  for (const auto& [pid, entry] : n.descriptors)
    row("descriptors",
        fmt::format("{}: {}, at most {}", process_text(entry.process), fds_text(entry.last), entry.most));
  std::string findings;
  for (const auto& [code, count] : n.findings)
    findings += fmt::format("{}{} {}", findings.empty() ? "" : ", ", code, count);
  if (!findings.empty()) row("findings", findings);
  std::string records = fmt::format("{}: {} used, {} of unknown kind, {} without a match", stats.records, stats.used,
                                    stats.unknown, stats.unmatched);
  if (stats.late != 0) records += fmt::format("; {} came late", stats.late);
  records += fmt::format("; {} lost", stats.lost);
  row("records", records);
}

}  // namespace conntrace::cli
