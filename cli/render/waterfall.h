// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "timeline/model.h"

namespace conntrace::cli {

struct TerminalOptions {
  unsigned width = 80;  ///< columns; no line is longer. Less than 40 counts as 40
  bool color = false;   ///< ANSI colours
  bool utf8 = true;     ///< block characters; else ASCII
};

/// Appends the timeline as lines for people: what happened, how long each phase took and why. Control characters in
/// names and URLs are shown as '?', so that a peer cannot drive the terminal.
void render(const RequestTimeline& timeline, const TerminalOptions& options, std::string& out);
void render(const ConnectionTimeline& timeline, const TerminalOptions& options, std::string& out);
void render(const ProcessTimeline& timeline, const TerminalOptions& options, std::string& out);

}  // namespace conntrace::cli
