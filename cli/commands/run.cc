// SPDX-License-Identifier: Apache-2.0
#include <CLI/CLI.hpp>
#include <csignal>
#include <cstdio>
#include <iostream>

#include "commands/commands.h"
#include "exit_status.h"

namespace conntrace::cli {

int run(int argc, char** argv) {
  std::signal(SIGPIPE, SIG_IGN);  // a closed pipe is an error of write(2), see Output

  CLI::App app(
      "conntrace: why a request waited, which connection it got, who closed the last one, and what the kernel saw",
      "conntrace");
  app.set_version_flag("--version", "conntrace " CONNTRACE_VERSION);
  app.footer(
      "Examples:\n"
      "  conntrace demo                            seven situations, seen from both sides\n"
      "  conntrace watch --pid 4242                a running process\n"
      "  conntrace watch -- curl http://localhost  a command\n"
      "  conntrace watch --pid 4242 --json | jq    JSON Lines, one timeline a line\n"
      "  conntrace doctor                          what this machine allows\n"
      "\n"
      "Exit status: 0 done; 1 failed; 2 wrong usage; 3 the target does not exist or went away before anything was\n"
      "seen; 77 privileges missing. Data is on stdout, everything else on stderr.");
  Action action;
  for (const auto add : {add_watch, add_record, add_correlate, add_show, add_stats, add_doctor, add_schema, add_demo}) {
    add(app, action);
  }
  app.require_subcommand(0, 1);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error, std::cout, std::cerr) == 0 ? kDone : kWrongUsage;
  }
  if (!action) {
    std::cout << app.help();
    return kDone;
  }
  return action();
}

}  // namespace conntrace::cli
