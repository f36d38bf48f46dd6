// SPDX-License-Identifier: Apache-2.0
// What every record belongs to: streams, processes, and who takes the rest.
#include <algorithm>

#include "timeline/engine.h"
#include "timeline/wall_time.h"

namespace conntrace::cli {
namespace {

/// The agent reads its loss counters now and then: what it lost may be this much older than the gap record.
constexpr std::uint64_t kKernelGapReachNs = 1'000'000'000;
constexpr std::size_t kLossesKept = 1024;
constexpr std::size_t kCensusesKept = 128;

void set_if_said(std::optional<std::string>& field, Text text) {
  if (!text.empty()) field = std::string(text);
}

std::vector<FdClass> classes_of(const FdCensusInfo& census) {
  std::vector<FdClass> classes;
  for (const FdClassCount& entry : census.classes) {
    FdClass& out = classes.emplace_back();
    out.name = entry.kind;
    if (entry.state != TcpState::NONE) out.state = to_string(entry.state);
    if (!entry.peer.empty()) out.peer = entry.peer;
    out.count = entry.count;
  }
  return classes;
}

}  // namespace

Engine::Engine(std::string boot_id, std::uint64_t settle_ns, const TimelineSink& sink, CorrelatorStats& stats)
    : boot_id_(std::move(boot_id)), settle_ns_(settle_ns), sink_(sink), stats_(stats) {}

void Engine::take(const Event& event) {
  const EventHeader& header = event.header;
  give_out(header.mono_ns);
  if (dispatch(event)) {
    ++stats_.used;
  } else {
    ++stats_.unmatched;
  }
  std::uint64_t& last = last_record_ns_[{header.source, header.pid}];
  last = std::max(last, header.mono_ns);
  now_ns_ = std::max(now_ns_, header.mono_ns);
}

bool Engine::dispatch(const Event& event) {
  if (event.header.source == Source::kernel) kernel_seen_ = true;
  switch (event.kind()) {
    case EventKind::stream_start:
    case EventKind::stream_end:
    case EventKind::gap: return take_stream(event);
    case EventKind::fd_census:
    case EventKind::fd_limit_hit:
    case EventKind::process_start:
    case EventKind::process_exit: return take_process(event);
    default: return kernel_record(event) ? take_kernel(event) : take_hook(event);
  }
}

bool Engine::kernel_record(const Event& event) const {
  return (event.kind() >= EventKind::tcp_connect && event.kind() <= EventKind::dns_answer) ||
         event.kind() == EventKind::tcp_accept;
}

Engine::Process Engine::process_of(const EventHeader& header) {
  if (header.pid != 0) {
    Process process = processes_.get(header.pid, header.start_time_ns);
    if (header.source == Source::kernel) process->by_kernel = true;
    return process;
  }
  // The library may leave out what its stream_start said.
  if (header.source != Source::hook) return nullptr;
  return last_hook_process_ ? last_hook_process_ : processes_.get(0, 0);
}

bool Engine::take_stream(const Event& event) {
  const EventHeader& header = event.header;
  if (const auto* start = get_if<EventKind::stream_start>(event)) {
    std::optional<ClockPair> clock;
    if (const auto wall = parse_rfc3339(start->wall_time))
      clock = ClockPair{MonoTime(static_cast<std::int64_t>(header.mono_ns)), *wall};
    if (!clock_) clock_ = clock;
    if (header.pid == 0 || header.source == Source::kernel) return true;  // the agent's own pid is not an observed one
    Process process = processes_.get(header.pid, header.start_time_ns);
    if (header.source == Source::hook) {
      process->by_hook = true;
      last_hook_process_ = process;
    }
    if (header.netns != 0) process->facts.netns = header.netns;
    if (clock && !process->clock) process->clock = clock;
    set_if_said(process->facts.comm, start->comm);
    set_if_said(process->facts.exe, start->exe);
    set_if_said(process->facts.cgroup, start->cgroup);
    return true;
  }
  std::uint64_t& lost = lost_[{header.source, header.pid}];
  if (const auto* end = get_if<EventKind::stream_end>(event)) {
    // Gap records said it before; the total counts what they did not.
    if (end->lost > lost) stats_.lost += end->lost - lost;
    lost = 0;
    return true;
  }
  const auto* gap = get_if<EventKind::gap>(event);
  lost += gap->lost;
  stats_.lost += gap->lost;
  const auto last = last_record_ns_.find({header.source, header.pid});
  LossSpan span{last == last_record_ns_.end() ? 0 : last->second, header.mono_ns};
  if (header.source == Source::kernel) {
    span.from_ns = std::min(span.from_ns, header.mono_ns - std::min(header.mono_ns, kKernelGapReachNs));
  }
  const bool everybody = header.pid == 0 && header.source != Source::hook;
  std::vector<LossSpan>& losses = everybody ? losses_ : process_of(header)->losses;
  losses.push_back(span);
  if (losses.size() > kLossesKept) {  // two spans become one that covers both
    losses[1].from_ns = losses[0].from_ns;
    losses.erase(losses.begin());
  }
  return true;
}

bool Engine::take_process(const Event& event) {
  const EventHeader& header = event.header;
  const Process process = process_of(header);
  if (!process) return false;
  ProcessFacts& facts = process->facts;
  if (header.netns != 0) facts.netns = header.netns;
  if (const auto* start = get_if<EventKind::process_start>(event)) {
    set_if_said(facts.comm, start->comm);
    set_if_said(facts.exe, start->exe);
    set_if_said(facts.cgroup, start->cgroup);
  } else if (get_if<EventKind::process_exit>(event) != nullptr) {
    process->exited_ns = header.mono_ns;
    schedule_exit(process);
  } else if (const auto* census = get_if<EventKind::fd_census>(event)) {
    if (!facts.comm) set_if_said(facts.comm, census->comm);
    auto classes = classes_of(*census);
    // One that only counted, and found as many, says nothing new of what they are.
    if (classes.empty() && !process->censuses.empty() && process->censuses.back().facts.open == census->open) {
      classes = process->fd_classes;
    }
    const FdFacts fds{census->open, census->soft_limit, census->hard_limit, process->limit_hits};
    process->censuses.push_back({header.mono_ns, header.source, fds});
    if (process->censuses.size() > kCensusesKept) process->censuses.pop_front();
    const auto& shown = process->shown;
    const bool changed = !shown || shown->open != fds.open || shown->soft_limit != fds.soft_limit ||
                         shown->hard_limit != fds.hard_limit || shown->limit_hits != fds.limit_hits ||
                         classes != process->fd_classes;
    process->fd_classes = std::move(classes);
    if (changed) emit_census(process, header, std::nullopt);
  } else if (const auto* hit = get_if<EventKind::fd_limit_hit>(event)) {
    if (!facts.comm) set_if_said(facts.comm, hit->comm);
    ++process->limit_hits;
    process->hit_times.push_back(header.mono_ns);
    if (process->hit_times.size() > kLossesKept) process->hit_times.pop_front();
    FdAlarm alarm{.error = std::string(hit->error)};
    if (!hit->syscall_name.empty()) alarm.syscall = std::string(hit->syscall_name);
    if (header.tid != 0) alarm.tid = header.tid;
    emit_census(process, header, std::move(alarm));
  }
  return true;
}

}  // namespace conntrace::cli
