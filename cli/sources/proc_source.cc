// SPDX-License-Identifier: Apache-2.0
#include "sources/proc_source.h"

#include <dirent.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <charconv>
#include <cstdlib>
#include <fstream>
#include <memory>
#include <string_view>

#include "agent/observer.h"

namespace conntrace::cli {
namespace {

using Directory = std::unique_ptr<DIR, int (*)(DIR*)>;

Directory open_directory(const std::string& path) { return {::opendir(path.c_str()), ::closedir}; }

std::string proc_path(pid_t pid, std::string_view name) {
  return "/proc/" + std::to_string(pid) + "/" + std::string(name);
}

}  // namespace

std::vector<pid_t> children_of(pid_t pid) {
  std::vector<pid_t> children;
  const std::string tasks = proc_path(pid, "task");
  const Directory directory = open_directory(tasks);
  while (const dirent* entry = directory ? ::readdir(directory.get()) : nullptr) {
    if (entry->d_name[0] == '.') continue;
    std::ifstream list(tasks + "/" + entry->d_name + "/children");
    for (pid_t child = 0; list >> child;) children.push_back(child);
  }
  return children;
}

ProcSource::ProcSource(const EventSink& sink) : proc_(Source::proc, sink), diag_(Source::diag, sink) {
  if (const auto self = read_process(::getpid())) netns_ = self->netns;
}

Result<void> ProcSource::add(const Process& process, bool existed_before) {
  if (!open_directory(proc_path(process.pid, "fd"))) {
    return Failure(system_error(errno, "read " + proc_path(process.pid, "fd")));
  }
  const MonoTime now = mono_now();
  Observed& observed = observed_[process.pid];
  observed.process = process;
  observed.added = now;
  ProcessStartInfo info;
  info.comm = process.comm;
  info.exe = process.exe;
  info.cgroup = process.cgroup;
  info.existed_before = existed_before;
  if (!existed_before) info.parent = static_cast<std::uint64_t>(process.parent);
  proc_.add(make_event<EventKind::process_start>(header_of(observed, Source::proc, now), info));
  census(observed, now);
  if (netns_ != 0 && process.netns != 0 && process.netns != netns_) {
    return Failure(system_error(EXDEV, "the sockets of pid " + std::to_string(process.pid)));
  }
  return {};
}

void ProcSource::remove(pid_t pid) {
  const auto found = observed_.find(pid);
  if (found == observed_.end()) return;
  ProcessExitInfo info;
  info.comm = found->second.process.comm;
  proc_.add(make_event<EventKind::process_exit>(header_of(found->second, Source::proc, mono_now()), info));
  observed_.erase(found);
}

EventHeader ProcSource::header_of(const Observed& observed, Source source, MonoTime now) const {
  EventHeader header;
  header.mono_ns = static_cast<std::uint64_t>(now.count());
  header.source = source;
  header.pid = static_cast<std::uint32_t>(observed.process.pid);
  header.start_time_ns = observed.process.start_time_ns;
  header.netns = observed.process.netns;
  return header;
}

std::vector<pid_t> ProcSource::poll() {
  ++round_;
  holders_.clear();
  std::vector<pid_t> forked;
  for (auto& [pid, observed] : observed_) {
    scan_descriptors(pid);
    for (const pid_t child : children_of(pid)) {
      if (!observed_.contains(child)) forked.push_back(child);
    }
  }
  const auto sockets = dump_tcp_sockets();
  const MonoTime now = mono_now();
  if (!sockets) {
    diag_.add(make_event<EventKind::gap>({.mono_ns = static_cast<std::uint64_t>(now.count()), .source = Source::diag},
                                         {.lost = 1, .reason = GapReason::source_lost, .where = "sock_diag"}));
    return forked;
  }
  for (const DiagSocket& socket : *sockets) see(socket, now);
  for (auto known = known_.begin(); known != known_.end();) {
    if (known->second.seen_in_round == round_) {
      ++known;
      continue;
    }
    EventHeader header{.mono_ns = static_cast<std::uint64_t>(now.count()), .source = Source::diag};
    header.pid = static_cast<std::uint32_t>(known->second.pid);
    header.cookie = known->first;
    header.netns = netns_;
    diag_.add(make_event<EventKind::tcp_closed>(header, {}));
    known = known_.erase(known);
  }
  for (auto& [pid, observed] : observed_) {
    observed.scanned = true;
    if (observed.next_census <= now) census(observed, now);
  }
  last_round_ = now;
  return forked;
}

void ProcSource::scan_descriptors(pid_t pid) {
  const std::string path = proc_path(pid, "fd");
  const Directory directory = open_directory(path);
  while (const dirent* entry = directory ? ::readdir(directory.get()) : nullptr) {
    std::array<char, 64> link{};
    const ssize_t length = ::readlinkat(::dirfd(directory.get()), entry->d_name, link.data(), link.size());
    constexpr std::string_view kPrefix = "socket:[";
    const std::string_view target(link.data(), length > 0 ? static_cast<std::size_t>(length) : 0);
    if (!target.starts_with(kPrefix)) continue;
    std::uint64_t inode = 0;
    std::from_chars(target.data() + kPrefix.size(), target.data() + target.size(), inode);
    holders_.try_emplace(inode, Holder{pid, std::atoi(entry->d_name)});
  }
}

void ProcSource::see(const DiagSocket& socket, MonoTime now) {
  auto known = known_.find(socket.cookie);
  if (known == known_.end()) {
    const auto holder = holders_.find(socket.inode);
    if (socket.inode == 0 || holder == holders_.end()) return;
    const Observed& owner = observed_.at(holder->second.pid);
    EventHeader header = header_of(owner, Source::diag, now);
    header.cookie = socket.cookie;
    TcpExistingInfo info;
    info.direction = socket.state == TcpState::SYN_SENT ? Direction::outgoing : Direction::unknown;
    info.local = socket.local;
    info.remote = socket.remote;
    info.state = socket.state;
    info.fd = holder->second.fd;
    if (owner.scanned) info.absent_mono_ns = static_cast<std::uint64_t>(last_round_.count());
    info.comm = owner.process.comm;
    diag_.add(make_event<EventKind::tcp_existing>(header, info));
    known_.emplace(socket.cookie, Known{socket, holder->second.pid, round_});
    return;
  }
  Known& before = known->second;
  before.seen_in_round = round_;
  if (before.socket.state != socket.state) {
    EventHeader header{.mono_ns = static_cast<std::uint64_t>(now.count()), .source = Source::diag};
    header.pid = static_cast<std::uint32_t>(before.pid);
    header.cookie = socket.cookie;
    header.netns = netns_;
    diag_.add(make_event<EventKind::tcp_state>(header, {.from = before.socket.state, .to = socket.state}));
  }
  before.socket = socket;
}

void ProcSource::census(Observed& observed, MonoTime now) {
  observed.next_census = now + kCensusInterval;
  if (auto event = agent::proc_fd_census(observed.process.pid)) proc_.add(*event);
}

void ProcSource::finish() {
  diag_.end();
  proc_.end();
}

}  // namespace conntrace::cli
