// SPDX-License-Identifier: Apache-2.0
// Connections for people: a headline, a lane of use and idleness, the kernel's numbers, the end.
#include <fmt/format.h>

#include <algorithm>

#include "render/facts_text.h"
#include "render/terminal_text.h"
#include "render/waterfall.h"
#include "timeline/duration_text.h"

namespace conntrace::cli {
namespace {

using Style = TerminalLine::Style;
constexpr std::string_view kIndent = "    ";

std::string headline(const ConnectionTimeline& timeline) {
  std::string out = timeline.number ? fmt::format("connection {}", *timeline.number) : std::string("connection");
  const bool incoming = timeline.direction == Direction::incoming;
  out += fmt::format(" {} {} {}", timeline.local.value_or("?"), incoming ? "<-" : "->", timeline.remote.value_or("?"));
  if (timeline.protocol) out += " " + *timeline.protocol;
  return out;
}

/// One character a column: in use, idle, neither known.
std::string lane(const ConnectionTimeline& timeline, std::size_t columns, bool utf8) {
  const char* used = utf8 ? "█" : "#";
  const char* idle = utf8 ? "─" : "-";
  std::vector<const char*> cells(columns, " ");
  const auto total_ns = static_cast<double>(std::max<std::uint64_t>(timeline.duration_ns, 1));
  const auto paint = [&](double from_ns, double to_ns, const char* cell) {
    const auto cell_at = [&](double at_ns) {
      const double part = std::clamp(at_ns / total_ns, 0.0, 1.0);
      return std::min(static_cast<std::size_t>(part * static_cast<double>(columns)), columns - 1);
    };
    for (std::size_t i = cell_at(from_ns); i <= cell_at(to_ns); ++i) cells[i] = cell;
  };
  for (const IdleGap& gap : timeline.idle_gaps) {
    const auto start_ns = static_cast<double>(gap.start_ns);
    paint(start_ns, start_ns + static_cast<double>(gap.duration_ns), idle);
  }
  for (const ConnectionUseSpan& use : timeline.uses) {
    const double end_ns = use.end_ns ? static_cast<double>(*use.end_ns) : total_ns;
    paint(static_cast<double>(use.start_ns), end_ns, used);
  }
  std::string out;
  for (const char* cell : cells) out += cell;
  return out;
}

std::string kernel_text(const ConnectionTimeline& timeline) {
  std::string out;
  const auto add = [&](const std::string& text) { out += (out.empty() ? "" : ", ") + text; };
  if (timeline.handshake_ns) add("handshake " + duration_text(*timeline.handshake_ns));
  if (timeline.accept_queue_ns) add("in the accept queue for " + duration_text(*timeline.accept_queue_ns));
  if (timeline.syn_retransmits) add(fmt::format("SYN retransmits {}", *timeline.syn_retransmits));
  if (timeline.retransmits) add(fmt::format("retransmits {}", *timeline.retransmits));
  if (timeline.srtt_us) add("round trip " + duration_text(std::uint64_t{*timeline.srtt_us} * 1000));
  if (timeline.bytes_sent) add(fmt::format("{} bytes sent", *timeline.bytes_sent));
  if (timeline.bytes_received) add(fmt::format("{} received", *timeline.bytes_received));
  return out;
}

std::string use_text(const ConnectionTimeline& timeline) {
  std::string out;
  if (timeline.requests) out = fmt::format("{} request{}", *timeline.requests, *timeline.requests == 1 ? "" : "s");
  std::uint64_t longest_ns = 0;
  for (const IdleGap& gap : timeline.idle_gaps) longest_ns = std::max(longest_ns, gap.duration_ns);
  if (!timeline.idle_gaps.empty()) {
    out += out.empty() ? "" : ", ";
    out += fmt::format("{} idle gap{}, longest {}", timeline.idle_gaps.size(),
                       timeline.idle_gaps.size() == 1 ? "" : "s", duration_text(longest_ns));
  }
  if (timeline.why_new)
    out += fmt::format("{}dialled because {}", out.empty() ? "" : "; ", to_string(*timeline.why_new));
  if (timeline.dialled_by) out += " by request " + short_id(*timeline.dialled_by);
  return out;
}

}  // namespace

void render(const ConnectionTimeline& timeline, const TerminalOptions& options, std::string& out) {
  TerminalLine line(options, out);
  const std::string state = timeline.closed ? duration_text(timeline.duration_ns)
                                            : "open, " + duration_text(timeline.duration_ns) + " so far";
  line.text(headline(timeline), Style::bold).text("  " + state, Style::green);
  line.text("  " + process_text(timeline.process), Style::dim).end();
  if (!timeline.uses.empty() || !timeline.idle_gaps.empty()) {
    line.text(kIndent).text(lane(timeline, line.room(), options.utf8), Style::cyan).end();
  }
  const auto fact = [&](std::string_view text, Style style = Style::plain) {
    if (!text.empty()) wrap(text, kIndent, style, options, out);
  };
  fact(use_text(timeline));
  if (timeline.existed_before) fact("it was there before the observer", Style::dim);
  if (timeline.dns) {
    for (const DnsExchange& exchange : timeline.dns->queries) fact("probably from " + exchange_text(exchange));
  }
  fact(kernel_text(timeline));
  if (timeline.closed) {
    const std::int64_t at = timeline.closed->at_ns;
    fact("closed after " + duration_text(static_cast<std::uint64_t>(std::max<std::int64_t>(at, 0))) + ": " +
         closed_text(*timeline.closed));
  }
  if (!timeline.complete) fact("incomplete: records of this time were lost or are missing", Style::yellow);
  for (const Finding& finding : timeline.findings)
    wrap(finding.code + ": " + finding.text, "  ! ", Style::yellow, options, out);
}

}  // namespace conntrace::cli
