// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "sources/live_session.h"

namespace CLI {
class App;
}

namespace conntrace::cli {

/// The options that choose processes and sources, shared by watch and record.
struct LiveArguments {
  LiveOptions live;
  std::string source = "auto";
  double duration = 0;
  std::string output;
};

/// Adds them, and refuses command lines that choose nothing.
void add_live_options(CLI::App& command, LiveArguments& arguments);
[[nodiscard]] LiveOptions to_live_options(const LiveArguments& arguments);

/// Says on stderr why a session could not start and what to do about it. Returns the exit status.
[[nodiscard]] int explain(const LiveSession::StartFailure& failure);

}  // namespace conntrace::cli
