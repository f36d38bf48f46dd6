// SPDX-License-Identifier: Apache-2.0
#include "commands/live_options.h"

#include <CLI/CLI.hpp>

#include "say.h"

namespace conntrace::cli {

void add_live_options(CLI::App& command, LiveArguments& arguments) {
  command.add_option("--pid", arguments.live.pids, "process to observe; may be given several times")
      ->check(CLI::Range(1, 1 << 22))
      ->allow_extra_args(false);
  command.add_option("--comm", arguments.live.comm, "all processes with this command name, as ps -o comm shows it");
  command.add_flag("--all", arguments.live.all, "all processes");
  command
      .add_option(
          "--source", arguments.source,
          "embedded: kernel programs, loaded into this process (root); agent: conntrace-agent, which shows each "
          "user his own processes; proc: polls of /proc and sock_diag; "
          "hooks: the library's events alone; auto: the best of them that this user may use")
      ->check(CLI::IsMember({"auto", "embedded", "agent", "proc", "hooks"}))
      ->capture_default_str();
  command.add_option("--duration", arguments.duration, "stop after this many seconds")->check(CLI::PositiveNumber);
  command.add_option("COMMAND", arguments.live.command, "after --: a command to start and observe, with its children");
  command.positionals_at_end();
  // Not the callback, which is the command's own.
  command.parse_complete_callback([&arguments] {
    const LiveOptions& live = arguments.live;
    if (live.pids.empty() && live.comm.empty() && !live.all && live.command.empty()) {
      throw CLI::ValidationError("nothing to observe: give --pid, --comm, --all or -- COMMAND");
    }
  });
}

LiveOptions to_live_options(const LiveArguments& arguments) {
  LiveOptions options = arguments.live;
  if (arguments.duration > 0) options.duration = std::chrono::duration<double>(arguments.duration);
  options.source = arguments.source == "embedded" ? SourceChoice::embedded
                   : arguments.source == "agent"  ? SourceChoice::agent
                   : arguments.source == "proc"   ? SourceChoice::proc
                   : arguments.source == "hooks"  ? SourceChoice::hooks
                                                  : SourceChoice::automatic;
  return options;
}

int explain(const LiveSession::StartFailure& failure) {
  complain("{}", failure.error.message());
  if (failure.status == kPrivilegesMissing) {
    complain(
        "the kernel's part needs root, or CAP_BPF, CAP_PERFMON and CAP_NET_ADMIN, or conntrace-agent for one's own "
        "processes; --source auto does with what this user may see; conntrace doctor tells more");
  }
  return failure.status;
}

}  // namespace conntrace::cli
