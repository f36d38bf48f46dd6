// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <string>

namespace CLI {
class App;
}

namespace conntrace::cli {

/// What the command line asked for; returns an ExitStatus. Set by the subcommand that was given.
using Action = std::function<int()>;

/// Parses the command line and runs the command it names. Returns an exit status.
[[nodiscard]] int run(int argc, char** argv);

// One function a command, in the file of its name: adds its options and, when it is the one given, sets `action`.
// Lifetime: options live in the App; the action must run before the App goes.
void add_watch(CLI::App& app, Action& action);
void add_record(CLI::App& app, Action& action);
void add_correlate(CLI::App& app, Action& action);
void add_show(CLI::App& app, Action& action);
void add_stats(CLI::App& app, Action& action);
void add_doctor(CLI::App& app, Action& action);
void add_schema(CLI::App& app, Action& action);
void add_demo(CLI::App& app, Action& action);

}  // namespace conntrace::cli
