// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <string>

#include "commands/output.h"
#include "render/summary.h"
#include "render/waterfall.h"
#include "timeline/correlator.h"

namespace conntrace::cli {

enum class Format {
  terminal,  ///< for people
  json,      ///< timelines, JSON Lines
};

struct PrintOptions {
  Format format = Format::terminal;
  TerminalOptions terminal;
  /// Connections of processes that link the library too. Their requests tell most of it, so people rarely want both.
  bool all_connections = false;
};

/// Writes timelines to an Output and adds them up.
///
/// For people: requests, connections of processes that do not link the library, and descriptor censuses with findings.
/// As JSON: everything.
class Printer {
 public:
  Printer(Output& output, const PrintOptions& options) : output_(output), options_(options) {}

  /// Lifetime: the sink refers to this Printer.
  [[nodiscard]] TimelineSink sink();
  void add(const RequestTimeline& timeline);
  void add(const ConnectionTimeline& timeline);
  void add(const ProcessTimeline& timeline);
  /// The summary, on stderr.
  void summarize(const CorrelatorStats& stats, const std::string& color) const;

 private:
  template <class Timeline>
  void print(const Timeline& timeline);

  Output& output_;
  const PrintOptions options_;
  Summary summary_;
};

}  // namespace conntrace::cli
