// SPDX-License-Identifier: Apache-2.0
#include "sources/live_session.h"

#include <poll.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>

#include "say.h"

namespace conntrace::cli {
namespace {

using std::chrono::milliseconds;
constexpr MonoTime kKernelInterval = milliseconds(10);  // the observer has no descriptor to wait for
constexpr MonoTime kTapDrain = milliseconds(500);       // for the last records of a process that has ended

LiveSession::StartFailure failure(Error error, ExitStatus status) { return {std::move(error), status}; }

ExitStatus status_of(const Error& error) {
  if (error.code == std::errc::no_such_process) return kTargetGone;
  const bool privilege = error.code == std::errc::operation_not_permitted || error.code == std::errc::permission_denied;
  return privilege ? kPrivilegesMissing : kFailed;
}

/// Whether the event is about what the process did, not about the process or the stream.
bool says_something(const Event& event) {
  if (!event.known()) return false;
  switch (event.kind()) {
    case EventKind::stream_start:
    case EventKind::stream_end:
    case EventKind::gap:
    case EventKind::process_start:
    case EventKind::process_exit:
    case EventKind::fd_census:
    case EventKind::pool_snapshot: return false;
    default: return true;
  }
}

}  // namespace

LiveSession::LiveSession(LiveOptions options, EventSink sink)
    : options_(std::move(options)), sink_(std::move(sink)), taps_([this](const Event& event) { give(event); }) {}

tl::expected<std::unique_ptr<LiveSession>, LiveSession::StartFailure> LiveSession::open(LiveOptions options,
                                                                                        EventSink sink) {
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGINT);
  sigaddset(&signals, SIGTERM);
  ::pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  std::unique_ptr<LiveSession> session(new LiveSession(std::move(options), std::move(sink)));
  session->signals_ = UniqueFd(::signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK));
  if (!session->signals_.valid()) return tl::unexpected(failure(system_error(errno, "signalfd"), kFailed));
  if (auto selected = session->select_targets(); !selected) return tl::unexpected(std::move(selected.error()));
  if (auto opened = session->open_kernel_source(); !opened) return tl::unexpected(std::move(opened.error()));
  for (const Process& process : session->selected_) session->taps_.add(process);
  session->announce();
  if (session->child_) {
    if (auto gone = session->child_->go(); !gone) {
      return tl::unexpected(failure(std::move(gone.error()), kTargetGone));
    }
  }
  return session;
}

LiveSession::Started LiveSession::select_targets() {
  std::vector<pid_t> pids = options_.pids;
  if (!options_.comm.empty()) {
    const std::vector<pid_t> named = pids_named(options_.comm);
    if (named.empty()) {
      return tl::unexpected(
          failure(system_error(ESRCH, "no process has the command name " + options_.comm), kTargetGone));
    }
    pids.insert(pids.end(), named.begin(), named.end());
  }
  if (!options_.command.empty()) {
    auto child = StoppedChild::fork(options_.command, options_.stdout_is_data);
    if (!child) return tl::unexpected(failure(std::move(child.error()), kFailed));
    child_ = std::move(*child);
    pids.push_back(child_->pid());
  }
  for (const pid_t pid : pids) {
    auto process = targets_.add(pid);
    if (!process) return tl::unexpected(failure(std::move(process.error()), kTargetGone));
    selected_.push_back(std::move(*process));
  }
  if (options_.all) {
    for (const pid_t pid : all_pids()) {
      const auto process = read_process(pid);
      if (process && !process->zombie && pid != ::getpid()) selected_.push_back(*process);
    }
  }
  return {};
}

LiveSession::Started LiveSession::open_kernel_source() {
  switch (options_.source) {
    case SourceChoice::hooks: missing_ = "kernel facts and descriptor counts, as asked for"; return {};
    case SourceChoice::proc: missing_ = "as asked for"; break;
    case SourceChoice::embedded: return open_embedded();
    case SourceChoice::agent: return open_agent();
    case SourceChoice::automatic:
      for (const auto open : {&LiveSession::open_embedded, &LiveSession::open_agent}) {
        auto opened = (this->*open)();
        if (opened || opened.error().status == kTargetGone) return opened;
        missing_ += (missing_.empty() ? "" : "; ") + opened.error().error.message();
      }
  }
  open_proc();
  return {};
}

LiveSession::Started LiveSession::open_embedded() {
  agent::ObserverOptions options;
  options.selection.all = options_.all;
  for (const Process& process : selected_) options.selection.pids.push_back(process.pid);
  kernel_.emplace(Source::kernel, [this](const Event& event) { give(event); });
  auto opened = agent::Observer::open(options, [this](const Event& event) { kernel_->add(event); });
  if (!opened) {
    kernel_->end();
    kernel_.reset();
    return tl::unexpected(failure(std::move(opened.error()), status_of(opened.error())));
  }
  observer_ = std::move(*opened);
  return {};
}

LiveSession::Started LiveSession::open_agent() {
  std::vector<pid_t> pids;
  if (!options_.all) {
    for (const Process& process : selected_) pids.push_back(process.pid);
  }
  auto opened = AgentSource::connect(pids, options_.all, signals_.get(), [this](const Event& event) { give(event); });
  if (!opened) return tl::unexpected(failure(std::move(opened.error()), status_of(opened.error())));
  agent_ = std::move(*opened);
  return {};
}

void LiveSession::open_proc() {
  proc_ = std::make_unique<ProcSource>([this](const Event& event) { give(event); });
  std::size_t readable = 0;
  for (const Process& process : selected_) {
    const bool existed_before = !child_ || process.pid != child_->pid();
    const auto added = proc_->add(process, existed_before);
    if (added) ++readable;
    if (!added && !options_.all) complain("{}; its sockets are not shown", added.error().message());
  }
  if (readable == 0) proc_.reset();
}

/// Which sources, and what they cannot give: the first line that a user reads.
void LiveSession::announce() const {
  std::string who;
  for (const Process& process : selected_) {
    if (who.size() > 60 || options_.all) break;
    who += fmt::format("{}{} ({})", who.empty() ? "pid " : ", ", process.pid,
                       child_ && process.pid == child_->pid() ? options_.command.front() : process.comm);
  }
  if (options_.all) who = "all processes";
  std::string how = observer_ ? "embedded (kernel programs, loaded here)"
                    : agent_  ? "agent (conntrace-agent)"
                    : proc_   ? "proc (polls of /proc and sock_diag every 100 ms)"
                              : "";
  if (taps_.joined() > 0) how += how.empty() ? "hooks (library tap)" : " + hooks (library tap)";
  if (how.empty()) how = "none yet";
  std::string missing;
  if (observer_) {
    for (const agent::HookProbe& probe : observer_->missing()) {
      missing += fmt::format("; missing: {} ({}: {})", probe.gives, probe.name, probe.error);
    }
  } else if (agent_) {
    missing.clear();  // the agent's own affair: conntrace-agent --status
  } else if (proc_) {
    missing = fmt::format(
        "; missing: handshake times, retransmits, resets, errno, DNS, what is shorter than 100 ms, mostly who closed "
        "({})",
        missing_);
  } else {
    missing = fmt::format("; missing: {}", missing_.empty() ? "the sockets" : missing_);
  }
  if (taps_.joined() == 0) missing += "; no request timelines unless a process links the library and opens its tap";
  complain("watching {}: {}{}", who, how, missing);
}

void LiveSession::give(const Event& event) {
  if (says_something(event)) ++seen_;
  if (const auto* born = get_if<EventKind::process_start>(event); born != nullptr && !born->existed_before) {
    Process process;
    process.pid = static_cast<pid_t>(event.header.pid);
    born_.push_back(process);
  }
  if (get_if<EventKind::process_exit>(event) != nullptr) taps_.forget(static_cast<pid_t>(event.header.pid));
  sink_(event);
}

int LiveSession::run(const Tick& tick) {
  const MonoTime end =
      options_.duration ? mono_now() + std::chrono::duration_cast<MonoTime>(*options_.duration) : MonoTime::max();
  bool go_on = true;
  while (go_on) {
    wait(end);
    const MonoTime now = mono_now();
    round(now);
    go_on = heed_signals();
    if (drained_ && !tick(now)) go_on = false;
    if (now >= end) go_on = false;
    note_ended();
    if (targets_.empty() && !options_.all) go_on = false;
    if (nothing_left()) go_on = false;
  }
  drain();
  return status();
}

void LiveSession::wait(MonoTime until) {
  if (observer_) until = std::min(until, mono_now() + kKernelInterval);
  if (proc_) until = std::min(until, next_poll_);
  if (taps_.any_waiting()) until = std::min(until, mono_now() + Taps::kRetry);
  until = std::min(until, mono_now() + Taps::kRetry);  // ticks: finished timelines are given out when time has passed
  std::vector<pollfd> fds{{signals_.get(), POLLIN, 0}};
  if (agent_) fds.push_back({agent_->fd(), POLLIN, 0});
  for (const int fd : targets_.fds()) fds.push_back({fd, POLLIN, 0});
  for (const int fd : taps_.fds()) fds.push_back({fd, POLLIN, 0});
  const auto left = std::chrono::ceil<milliseconds>(until - mono_now()).count();
  ::poll(fds.data(), fds.size(), drained_ && left > 0 ? static_cast<int>(left) : 0);
}

void LiveSession::round(MonoTime now) {
  drained_ = taps_.read();
  if (observer_) {
    if (const auto polled = observer_->poll(0); !polled) complain("{}", polled.error().message());
  }
  if (agent_) {
    const auto got = agent_->read();
    drained_ = drained_ && got != AgentSource::Progress::more;
    if (!got || *got == AgentSource::Progress::ended) {
      complain("{}; from here on the kernel's side is missing",
               got ? "conntrace-agent has ended" : got.error().message());
      agent_.reset();
      agent_lost_ = true;
    }
  }
  if (proc_ && now >= next_poll_) {
    next_poll_ = now + ProcSource::kInterval;
    for (const pid_t child : proc_->poll()) {
      if (const auto process = read_process(child)) {
        [[maybe_unused]] const auto added = proc_->add(*process, /*existed_before=*/false);
      }
    }
  }
  for (const Process& born : std::exchange(born_, {})) {
    if (const auto process = read_process(born.pid)) taps_.add(*process);
  }
  taps_.retry(now);
}

void LiveSession::note_ended() {
  for (const Process& process : targets_.take_ended()) {
    taps_.forget(process.pid);
    if (proc_) proc_->remove(process.pid);
    if (!child_ || process.pid != child_->pid()) complain("pid {} ({}) ended", process.pid, process.comm);
  }
}

bool LiveSession::heed_signals() {
  signalfd_siginfo info{};
  bool go_on = true;
  while (::read(signals_.get(), &info, sizeof(info)) == sizeof(info)) {
    // The terminal's SIGINT reaches the command by itself; the session ends when the command does.
    if (child_ && !child_->exit_status()) {
      if (info.ssi_signo == SIGTERM || info.ssi_pid != 0) ::kill(child_->pid(), static_cast<int>(info.ssi_signo));
    } else {
      go_on = false;
    }
  }
  return go_on;
}

/// What had happened when the end came is still given.
void LiveSession::drain() {
  if (proc_) {
    [[maybe_unused]] const auto late = proc_->poll();
  }
  if (observer_) {
    if (const auto drained = observer_->drain(); !drained) complain("{}", drained.error().message());
  }
  if (agent_) {
    if (const auto finished = agent_->finish(); !finished) complain("{}", finished.error().message());
  }
  const MonoTime end = mono_now() + kTapDrain;
  while (!taps_.read() && mono_now() < end) {
  }
  while (targets_.empty() && taps_.any_open() && mono_now() < end) {  // the processes are gone: their taps will end
    std::vector<pollfd> fds;
    for (const int fd : taps_.fds()) fds.push_back({fd, POLLIN, 0});
    ::poll(fds.data(), fds.size(), static_cast<int>(std::chrono::ceil<milliseconds>(end - mono_now()).count()));
    taps_.read();
  }
  if (proc_) proc_->finish();
  if (observer_) {
    std::uint64_t lost = 0;
    for (const agent::LossCounter& loss : observer_->stats().losses) lost += loss.count;
    kernel_->end(lost);
  }
}

/// The agent, which was asked for, has gone, and nobody else tells anything.
bool LiveSession::nothing_left() const {
  return agent_lost_ && options_.source == SourceChoice::agent && taps_.joined() == 0;
}

int LiveSession::status() {
  if (child_) {
    if (const auto exited = child_->exit_status()) return *exited;
    complain("{} (pid {}) goes on, unwatched", options_.command.front(), child_->pid());
    return kDone;
  }
  if (nothing_left()) return kFailed;
  if (targets_.empty() && !options_.all && seen_ == 0) {
    complain("ended before anything was seen");
    return kTargetGone;
  }
  return kDone;
}

}  // namespace conntrace::cli
