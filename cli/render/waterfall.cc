// SPDX-License-Identifier: Apache-2.0
#include "render/waterfall.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "render/facts_text.h"
#include "render/terminal_text.h"
#include "timeline/duration_text.h"

namespace conntrace::cli {
namespace {

using Style = TerminalLine::Style;

constexpr std::size_t kNameColumns = 12;
constexpr std::size_t kTimeColumns = 10;

Style style_of(Phase phase) {
  switch (phase) {
    case Phase::blocked: return Style::red;
    case Phase::dns: return Style::magenta;
    case Phase::connect: return Style::yellow;
    case Phase::proxy:
    case Phase::tls: return Style::blue;
    case Phase::send:
    case Phase::wait: return Style::green;
    case Phase::receive: return Style::cyan;
    case Phase::body_held:
    case Phase::none: return Style::dim;
  }
  return Style::plain;
}

/// A bar from `start` to `end`, parts of 1 of `columns`; its end is exact to an eighth of a column.
std::string bar(double start, double end, std::size_t columns, bool utf8) {
  static constexpr const char* kEighths[] = {"", "▏", "▎", "▍", "▌", "▋", "▊", "▉"};
  start = std::clamp(start, 0.0, 1.0);
  end = std::clamp(end, start, 1.0);
  const auto total = static_cast<double>(columns);
  const auto first = std::min(static_cast<std::size_t>(start * total), columns - 1);
  std::string out(first, ' ');
  auto eighths = static_cast<std::size_t>(std::max((end * total - static_cast<double>(first)) * 8, 1.0));
  eighths = std::min(eighths, (columns - first) * 8);
  if (!utf8) return out + std::string(std::max<std::size_t>((eighths + 4) / 8, 1), '#');
  for (; eighths >= 8; eighths -= 8) out += "█";
  return out + kEighths[eighths];
}

void fact(std::string_view text, const TerminalOptions& options, std::string& out, Style style = Style::plain,
          std::string_view mark = "    ") {
  if (!text.empty()) wrap(text, mark, style, options, out);
}

void render_unavailable(const Unavailable& unavailable, const TerminalOptions& options, std::string& out) {
  std::map<std::string, std::string> by_reason;
  for (const auto& [path, why] : unavailable) {
    if (path.starts_with("process.")) continue;  // the header line shows what there is
    std::string& paths = by_reason[why];
    paths += (paths.empty() ? "" : ", ") + path;
  }
  for (const auto& [why, paths] : by_reason)
    fact(fmt::format("not known: {}: {}", paths, why), options, out, Style::dim);
}

void render_findings(const std::vector<Finding>& findings, const TerminalOptions& options, std::string& out) {
  for (const Finding& finding : findings) {
    const Style style = finding.severity == Severity::error     ? Style::red
                        : finding.severity == Severity::warning ? Style::yellow
                                                                : Style::cyan;
    fact(finding.code + ": " + finding.text, options, out, style, "  ! ");
  }
}

void render_header(const RequestTimeline& timeline, const TerminalOptions& options, std::string& out) {
  TerminalLine line(options, out);
  const std::string result = timeline.response ? fmt::format("{}", timeline.response->status)
                             : timeline.error  ? std::string("failed")
                                               : std::string("no response");
  const bool bad = timeline.error || !timeline.response || timeline.response->status >= 500;
  const std::string tail = fmt::format("  {}  {}", result, duration_text(timeline.duration_ns));
  const std::string method = timeline.request.method.value_or("request");
  const std::string whose = fmt::format("  #{} {}", timeline.request.number, process_text(timeline.process));
  std::string url = timeline.request.url.value_or(timeline.request.host.value_or(""));
  const std::size_t fixed =
      method.size() + 1 + columns_of(printable(tail, options.utf8)) + columns_of(printable(whose, options.utf8));
  const std::size_t room = line.room() > fixed ? line.room() - fixed : 0;
  // A long URL gives way to the result: its beginning says the host.
  if (url.size() > std::max<std::size_t>(room, 12)) url = url.substr(0, std::max<std::size_t>(room, 12) - 3) + "...";
  line.text(method + " ", Style::bold).text(url, Style::bold).text(tail, bad ? Style::red : Style::green);
  line.text(whose, Style::dim).end();
}

void render_phases(const RequestTimeline& timeline, const TerminalOptions& options, std::string& out) {
  const auto total = static_cast<double>(std::max<std::uint64_t>(timeline.duration_ns, 1));
  for (const PhaseTimeline& phase : timeline.phases) {
    TerminalLine line(options, out);
    const std::size_t columns = line.room() - kNameColumns - kTimeColumns - 1;
    line.text("  ").text(to_string(phase.name), style_of(phase.name)).pad_to(kNameColumns);
    line.text(bar(static_cast<double>(phase.start_ns) / total, static_cast<double>(phase.end_ns()) / total, columns,
                  options.utf8),
              style_of(phase.name));
    const std::string time = duration_text(phase.duration_ns);
    line.pad_to(line.used() + line.room() - std::min(line.room(), time.size())).text(time).end();
  }
}

void render_phase_facts(const RequestTimeline& timeline, const TerminalOptions& options, std::string& out) {
  for (const PhaseTimeline& phase : timeline.phases) {
    if (const auto* blocked = std::get_if<BlockedFacts>(&phase.facts)) {
      fact(blocked_text(phase, *blocked), options, out);
      fact(holders_text(*blocked), options, out);
    } else if (const auto* dns = std::get_if<DnsFacts>(&phase.facts)) {
      fact(dns_text(*dns), options, out);
      if (!dns->kernel) continue;
      for (const DnsExchange& exchange : dns->kernel->queries) fact("kernel: " + exchange_text(exchange), options, out);
    } else if (const auto* connect = std::get_if<ConnectFacts>(&phase.facts)) {
      for (const ConnectAttempt& attempt : connect->attempts) fact(connect_text(attempt), options, out);
    } else if (const auto* tls = std::get_if<TlsFacts>(&phase.facts)) {
      fact(tls_text(*tls), options, out);
    } else if (const auto* proxy = std::get_if<ProxyFacts>(&phase.facts)) {
      fact(proxy_text(*proxy), options, out);
    }
  }
}

}  // namespace

void render(const RequestTimeline& timeline, const TerminalOptions& options, std::string& out) {
  render_header(timeline, options, out);
  render_phases(timeline, options, out);
  for (const EarlierAttempt& attempt : timeline.earlier_attempts)
    fact(earlier_text(attempt), options, out, Style::yellow);
  render_phase_facts(timeline, options, out);
  if (timeline.connection) {
    fact(connection_text(*timeline.connection), options, out);
    for (const RejectedConnection& rejected : timeline.connection->candidates)
      fact(rejected_text(rejected), options, out);
    if (const std::string after = after_text(*timeline.connection); !after.empty())
      fact(fmt::format("connection {} then {}", timeline.connection->number, after), options, out);
  }
  if (timeline.error)
    fact(fmt::format("failed in {}: {}", to_string(timeline.error->phase), timeline.error->text), options, out,
         Style::red);
  if (timeline.fds) fact(fds_text(*timeline.fds), options, out, Style::dim);
  if (!timeline.complete)
    fact("incomplete: records of this time were lost or are missing", options, out, Style::yellow);
  render_unavailable(timeline.unavailable, options, out);
  render_findings(timeline.findings, options, out);
}

void render(const ProcessTimeline& timeline, const TerminalOptions& options, std::string& out) {
  TerminalLine line(options, out);
  line.text(process_text(timeline.process), Style::bold);
  if (timeline.fds) line.text("  " + fds_text(*timeline.fds));
  if (timeline.alarm)
    line.text(fmt::format("  {} failed: {}", timeline.alarm->syscall.value_or("a system call"), timeline.alarm->error),
              Style::red);
  line.end();
  render_findings(timeline.findings, options, out);
}

}  // namespace conntrace::cli
