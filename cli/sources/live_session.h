// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "agent/observer.h"
#include "conntrace/unique_fd.h"
#include "exit_status.h"
#include "sources/agent_source.h"
#include "sources/proc_source.h"
#include "sources/stopped_child.h"
#include "sources/stream.h"
#include "sources/taps.h"
#include "sources/targets.h"

namespace conntrace::cli {

enum class SourceChoice {
  automatic,  ///< embedded if this user may, else agent if one runs, else proc
  agent,      ///< what conntrace-agent shows this user
  embedded,   ///< the kernel programs, loaded into this process
  proc,       ///< polls of /proc and sock_diag
  hooks,      ///< the library's own events alone
};

struct LiveOptions {
  std::vector<pid_t> pids;
  std::string comm;
  bool all = false;
  SourceChoice source = SourceChoice::automatic;
  std::optional<std::chrono::duration<double>> duration;
  std::vector<std::string> command;
  bool stdout_is_data = false;  ///< the command's own stdout goes to stderr then
};

/// Watches processes as they run: their taps and the best kernel source, merged into one sink.
///
/// Threading: one thread, which must be the process' only one when open() forks a command. Blocks SIGINT and SIGTERM.
/// Messages about what is watched, what is missing and what ended go to stderr.
class LiveSession {
 public:
  struct StartFailure {
    Error error;
    ExitStatus status = kFailed;
  };
  [[nodiscard]] static tl::expected<std::unique_ptr<LiveSession>, StartFailure> open(LiveOptions options,
                                                                                     EventSink sink);

  /// Called after each round with the time up to which all events have been given. False ends the session.
  using Tick = std::function<bool(MonoTime)>;
  /// Until the targets end, the duration is over, SIGINT or SIGTERM, or tick says so. Returns the exit status.
  [[nodiscard]] int run(const Tick& tick);

 private:
  LiveSession(LiveOptions options, EventSink sink);

  using Started = tl::expected<void, StartFailure>;
  Started select_targets();
  Started open_kernel_source();
  Started open_embedded();
  Started open_agent();
  void open_proc();
  void follow(const Process& process, bool existed_before);
  void announce() const;
  void give(const Event& event);
  void wait(MonoTime until);
  void round(MonoTime now);
  void note_ended();
  /// False: the session must end.
  bool heed_signals();
  void drain();
  [[nodiscard]] bool nothing_left() const;
  [[nodiscard]] int status();

  const LiveOptions options_;
  const EventSink sink_;
  UniqueFd signals_;
  Targets targets_;
  std::vector<Process> selected_;
  std::unique_ptr<StoppedChild> child_;
  Taps taps_;
  std::optional<Stream> kernel_;
  std::unique_ptr<agent::Observer> observer_;  ///< or
  std::unique_ptr<AgentSource> agent_;         ///< or
  bool agent_lost_ = false;
  std::unique_ptr<ProcSource> proc_;  ///< or neither
  std::string missing_;               ///< why not the better one
  MonoTime next_poll_{};
  std::uint64_t seen_ = 0;  ///< events that say something of a request, a socket, a name or a limit
  bool drained_ = true;
  std::vector<Process> born_;  ///< followed children, to be tapped after the round
};

}  // namespace conntrace::cli
