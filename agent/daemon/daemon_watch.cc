// SPDX-License-Identifier: Apache-2.0
// Who watches what, and what they are told.
#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <map>
#include <set>
#include <utility>

#include "agent/daemon/daemon.h"
#include "agent/daemon/status.h"
#include "agent/process_info.h"
#include "conntrace/clock.h"
#include "conntrace/event_json.h"
#include "record/process_identity.h"

namespace conntrace::agent {
namespace {

constexpr MonoTime kTickAfterLoss = std::chrono::milliseconds(20);

EventHeader header_now() {
  return {.mono_ns = static_cast<std::uint64_t>(mono_now().count()), .source = Source::kernel};
}

std::string stream_start_line() {
  const ProcessIdentity self = read_process_identity();
  const ClockPair now = clock_pair_now();
  const std::string wall_time = rfc3339(now.wall);
  EventHeader header{.mono_ns = static_cast<std::uint64_t>(now.mono.count()), .source = Source::kernel};
  std::string line;
  append_json_line(make_event<EventKind::stream_start>(header, {.schema = "conntrace.event/1",
                                                                .wall_time = wall_time,
                                                                .boot_id = self.boot_id,
                                                                .host = self.host,
                                                                .program = "conntrace-agent " CONNTRACE_VERSION}),
                   line);
  return line;
}

std::optional<ProcessKey> key_of(const EventHeader& header) {
  if (header.pid == 0) return std::nullopt;
  return ProcessKey{static_cast<pid_t>(header.pid), header.start_time_ns};
}

}  // namespace

Result<void> Daemon::attach() {
  unwatched_since_.reset();
  if (observer_) return {};
  ObserverOptions options = options_.observer;
  options.selection = {.pids = {}, .all = false, .follow_children = true};
  auto opened = Observer::open(options, [this](const Event& event) { route(event); });
  if (!opened) return Failure(std::move(opened).error());
  observer_ = std::move(*opened);
  return {};
}

Result<void> Daemon::start_watch(Client& client, const Selection& selection) {
  std::vector<pid_t> pids = selection.all ? std::vector<pid_t>() : selection.pids;
  std::sort(pids.begin(), pids.end());
  pids.erase(std::unique(pids.begin(), pids.end()), pids.end());
  for (const pid_t pid : pids) {
    const auto process = look_at(pid);
    if (!process) return Failure(process.error());
    if (!may_see(client.user, process->owner)) {
      return Failure(system_error(EPERM, fmt::format("process {} is another user's", pid)));
    }
  }
  if (auto attached = attach(); !attached) return attached;
  client.stage = Client::Stage::watching;
  client.selection = selection;
  client.stream.add(stream_start_line());
  if (client.watches_all()) return add_all(client);
  if (selection.all) pids = processes_of({client.user});
  return add_to(client, pids);
}

// Root's.
Result<void> Daemon::add_all(Client& client) {
  for (const ProcessKey& process : processes_.observed()) {
    auto described = observer_->describe_process(process.pid, [&](const Event& event) { give(client, event); });
    if (!described) return described;
  }
  client.describing = true;
  auto observed = observer_->observe_all(true);
  client.describing = false;
  return observed;
}

// Who may see a process is asked when it is observed already: from then on no program that it executes escapes.
Result<void> Daemon::add_to(Client& client, const std::vector<pid_t>& pids) {
  for (const pid_t pid : pids) {
    auto added = observer_->add_process(pid);
    if (!added && added.error().code != std::errc::no_such_process) return added;  // else it has ended just now
  }
  // What has happened so far is told to those who watch them already.
  if (auto drained = observer_->drain(); !drained) return drained;
  for (const pid_t pid : pids) {
    const auto now = look_at(pid);
    if (!now) continue;
    if (!may_see(client.user, now->owner)) {
      if (!client.selection.all) give_gap(client, fmt::format("process {} is another user's now", pid));
      continue;
    }
    if (!client.processes.emplace(now->key, static_cast<std::uint64_t>(mono_now().count())).second) continue;
    auto described = observer_->describe_process(pid, [&](const Event& event) { give(client, event); });
    if (!described) return described;
  }
  return {};
}

// Those of users who watch all of theirs that have come since, by whatever way.
void Daemon::add_new_processes() {
  std::set<uid_t> users;
  for (const auto& [id, client] : clients_) {
    if (client->watches_own()) users.insert(client->user);
  }
  if (users.empty()) return;
  std::map<uid_t, std::vector<LookedAt>> found;
  for (const pid_t pid : processes_of(users)) {
    if (const auto process = look_at(pid); process && process->owner) found[*process->owner].push_back(*process);
  }
  for (const auto& [id, client] : clients_) {
    if (!client->watches_own()) continue;
    std::vector<pid_t> fresh;
    for (const LookedAt& process : found[client->user]) {
      if (!client->processes.contains(process.key)) fresh.push_back(process.key.pid);
    }
    if (fresh.empty()) continue;
    [[maybe_unused]] const auto added = add_to(*client, fresh);  // if the kernel refuses, the next tick tries again
  }
}

// A process may become another user's without executing anything, and a record that it executed something may be lost.
void Daemon::check_owners() {
  std::set<ProcessKey> watched;
  for (const auto& [id, client] : clients_) {
    if (client->user == 0 || !client->watching()) continue;
    for (const auto& [process, since] : client->processes) watched.insert(process);
  }
  for (const ProcessKey& process : watched) {
    // What has ended is whose it was.
    const auto now = look_at(process.pid);
    if (now && now->key == process) take_from_those_who_may_not_see(process, now->owner);
  }
}

void Daemon::take_from_those_who_may_not_see(const ProcessKey& process, std::optional<uid_t> owner) {
  for (const auto& [id, client] : clients_) {
    if (!client->watching() || may_see(client->user, owner)) continue;
    if (client->processes.erase(process) == 0) continue;
    give_gap(*client, fmt::format("process {} is another user's now", process.pid));
  }
}

void Daemon::route(const Event& event) {
  const std::optional<ProcessKey> process = key_of(event.header);
  if (event.kind() == EventKind::process_start) on_process_start(event, *process);
  const auto* loss = get_if<EventKind::gap>(event);
  // Perhaps it was said there whose a process is.
  if (loss != nullptr) next_tick_ = std::min(next_tick_, mono_now() + kTickAfterLoss);
  line_.clear();
  for (const auto& [id, client] : clients_) {
    if (!client->watching()) continue;
    const bool wanted = client->watches_all() || (process && client->wants(*process, event.header.mono_ns));
    if (loss == nullptr && !wanted) continue;  // a loss is everybody's; what is of no process is root's
    if (line_.empty()) append_json_line(event, line_);
    if (loss != nullptr) {
      client->stream.add_gap(line_, loss->lost);
    } else if (client->describing) {
      client->stream.add_surely(line_);
    } else {
      client->stream.add(line_);
    }
  }
  if (event.kind() == EventKind::process_exit) processes_.set_ended(*process, mono_now());
}

void Daemon::give(Client& client, const Event& event) {
  line_.clear();
  append_json_line(event, line_);
  client.stream.add_surely(line_);
}

void Daemon::on_process_start(const Event& event, const ProcessKey& process) {
  processes_.set_observed(process, mono_now());
  const auto& start = *get_if<EventKind::process_start>(event);
  take_from_those_who_may_not_see(process, start.uid);
  const auto parent = start.parent ? processes_.of(static_cast<pid_t>(*start.parent)) : std::nullopt;
  if (start.existed_before || !parent) return;
  for (const auto& [id, client] : clients_) {
    if (!client->watching() || client->watches_all() || !may_see(client->user, start.uid)) continue;
    if (client->selection.follow_children && client->processes.contains(*parent)) client->processes.emplace(process, 0);
  }
}

void Daemon::finish(Client& client) {
  if (auto drained = observer_->drain(); !drained) return refuse(client, drained.error());
  end_stream(client);
}

void Daemon::end_stream(Client& client) {
  std::string line;
  append_json_line(make_event<EventKind::stream_end>(
                       header_now(), {.records = client.stream.records() + 1, .lost = client.stream.lost()}),
                   line);
  end(client, line);
}

// One at least.
void Daemon::give_gap(Client& client, std::string_view where) {
  line_.clear();
  append_json_line(
      make_event<EventKind::gap>(header_now(), {.lost = 1, .reason = GapReason::source_lost, .where = where}), line_);
  client.stream.add_gap(line_, 1);
}

void Daemon::forget_what_nobody_wants() {
  if (!observer_) return;
  const auto any = [this](const auto& test) {
    return std::any_of(clients_.begin(), clients_.end(), [&](const auto& entry) { return test(*entry.second); });
  };
  const bool watched = any([](const Client& client) { return client.watching(); });
  if (!watched && !unwatched_since_) unwatched_since_ = mono_now();
  if (any([](const Client& client) { return client.watching() && client.watches_all(); })) return;
  [[maybe_unused]] const auto selected_only = observer_->observe_all(false);
  const std::set<ProcessKey> observed = processes_.observed();
  for (const ProcessKey& process : observed) {
    if (any([&](const Client& client) { return client.watching() && client.processes.contains(process); })) {
      continue;
    }
    [[maybe_unused]] const auto removed = observer_->remove_process(process.pid, process.start_time_ns);
    processes_.forget(process);
  }
}

}  // namespace conntrace::agent
