// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <algorithm>

#include "render/terminal_text.h"
#include "stats/report_output.h"
#include "timeline/duration_text.h"

namespace conntrace::cli {
namespace {

constexpr std::size_t kFirstColumn = 22;
constexpr std::size_t kBar = 40;

class Page {
 public:
  Page(const TerminalOptions& options, std::string& out) : options_(options), out_(out) {}

  void title(std::string_view text) { TerminalLine(options_, out_).text(text, TerminalLine::Style::bold).end(); }

  void times_title(std::string_view text) {
    TerminalLine line(options_, out_);
    line.text(text, TerminalLine::Style::bold).pad_to(kFirstColumn);
    line.text(fmt::format("{:>9}{:>10}{:>10}{:>10}{:>10}{:>10}", "count", "p50", "p90", "p99", "max", "sum"),
              TerminalLine::Style::dim);
    line.end();
  }

  void times(std::string_view name, const Times& t) {
    TerminalLine line(options_, out_);
    line.text("  ").text(name).pad_to(kFirstColumn);
    line.text(fmt::format("{:>9}{:>10}{:>10}{:>10}{:>10}{:>10}", t.count, duration_text(t.p50_ns),
                          duration_text(t.p90_ns), duration_text(t.p99_ns), duration_text(t.max_ns),
                          duration_text(t.sum_ns)));
    line.end();
  }

  void row(std::string_view name, std::string_view text) {
    wrap(text, fmt::format("{:<{}}", name, kFirstColumn), TerminalLine::Style::plain, options_, out_);
  }

  void words(std::string_view name, const std::vector<WordCount>& list) {
    if (!list.empty()) row(name, counts_text(list));
  }

  void bar(std::string_view name, std::uint64_t count, std::uint64_t most) {
    const std::size_t length = std::max<std::size_t>(1, count * kBar / most);
    std::string bar;
    for (std::size_t i = 0; i < length; ++i) bar += options_.utf8 ? "█" : "#";
    TerminalLine line(options_, out_);
    line.text("  ").text(name).pad_to(kFirstColumn).text(fmt::format("{:>9} ", count));
    line.text(bar, TerminalLine::Style::blue).end();
  }

 private:
  const TerminalOptions& options_;
  std::string& out_;
};

void render_idle(const std::vector<IdleBucket>& buckets, Page& page) {
  if (buckets.empty()) return;
  page.title("Idle before it was used again");
  std::uint64_t most = 1;
  for (const IdleBucket& bucket : buckets) most = std::max(most, bucket.count);
  for (const IdleBucket& bucket : buckets) {
    page.bar(bucket.up_to_ns ? "up to " + duration_text(*bucket.up_to_ns) : "longer", bucket.count, most);
  }
}

}  // namespace

std::string requests_text(const StatsReport& report) {
  std::string out =
      fmt::format("{}: {} ok, {} failed", report.requests, report.requests - report.failed, report.failed);
  if (report.incomplete != 0) out += fmt::format(", {} incomplete", report.incomplete);
  return out;
}

std::string reuse_text(std::uint64_t reused, std::uint64_t fresh) {
  if (reused + fresh == 0) return "no connection";
  return fmt::format("{} of {} on a used connection ({:.1f} %)", reused, reused + fresh,
                     100.0 * static_cast<double>(reused) / static_cast<double>(reused + fresh));
}

void render(const StatsReport& report, const TerminalOptions& options, std::string& out) {
  Page page(options, out);
  page.row("requests", requests_text(report));
  if (report.requests != 0) page.row("reuse", reuse_text(report.reused, report.fresh));
  page.words("failed in", report.failed_in);
  page.words("new because", report.why_new);
  page.row("connections", fmt::format("{}: {} closed, {} not seen to close", report.connections,
                                      report.connections - report.still_open, report.still_open));
  page.words("findings", report.findings);

  if (!report.phases.empty()) page.times_title("All hosts");
  for (const PhaseStats& phase : report.phases) page.times(phase.phase, phase.times);
  if (report.hosts.size() > 1) {
    for (const HostStats& host : report.hosts) {
      page.times_title(host.host);
      for (const PhaseStats& phase : host.phases) page.times(phase.phase, phase.times);
      page.row("  reuse", reuse_text(host.reused, host.fresh));
    }
  }
  if (!report.queue.empty()) page.times_title("Waited for");
  for (const QueueStats& queue : report.queue) page.times(queue.cause, queue.times);
  if (!report.holders.empty()) {
    page.title(report.holders_exact ? "Held the slots that others waited for"
                                    : "Held the slots that others waited for (of many, not all could be followed)");
    for (const HolderStats& holder : report.holders) {
      page.row(fmt::format("  {}", duration_text(holder.waited_ns)),
               fmt::format("of the wait of {} request{}: {}", holder.held_up, holder.held_up == 1 ? "" : "s",
                           holder.request));
    }
  }
  if (!report.closes.empty()) page.title("Connections closed");
  for (const CloseStats& close : report.closes) {
    page.row(fmt::format("  {}", close.count),
             fmt::format("{}, by {}, {}", to_string(close.reason), to_string(close.by), to_string(close.how)));
  }
  render_idle(report.idle_before_reuse, page);
}

}  // namespace conntrace::cli
