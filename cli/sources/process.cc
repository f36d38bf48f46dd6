// SPDX-License-Identifier: Apache-2.0
#include "sources/process.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <climits>
#include <cstdlib>
#include <memory>
#include <sstream>
#include <string_view>

#include "conntrace/unique_fd.h"

namespace conntrace::cli {
namespace {

std::string path_of(pid_t pid, std::string_view name) {
  return "/proc/" + std::to_string(pid) + "/" + std::string(name);
}

/// The whole file; empty if it cannot be read.
std::string slurp(const std::string& path) {
  const UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  std::string text;
  std::array<char, 4096> buffer;
  for (ssize_t got = 0; fd.valid() && (got = ::read(fd.get(), buffer.data(), buffer.size())) > 0;) {
    text.append(buffer.data(), static_cast<std::size_t>(got));
  }
  return text;
}

std::string link_target(const std::string& path) {
  std::array<char, PATH_MAX> buffer;
  const ssize_t length = ::readlink(path.c_str(), buffer.data(), buffer.size());
  return length > 0 ? std::string(buffer.data(), static_cast<std::size_t>(length)) : std::string();
}

/// proc(5): pid (comm) state ppid …; comm may hold spaces and parentheses, so fields count from the last ')'.
void parse_stat(const std::string& stat, Process& process) {
  const std::size_t close = stat.rfind(')');
  const std::size_t open = stat.find('(');
  if (close == std::string::npos || open == std::string::npos) return;
  process.comm = stat.substr(open + 1, close - open - 1);
  std::istringstream rest(stat.substr(close + 1));
  std::string state;
  rest >> state >> process.parent;
  process.zombie = state == "Z" || state == "X";
  std::string skipped;
  for (int field = 5; field < 22; ++field) rest >> skipped;
  std::uint64_t ticks = 0;
  rest >> ticks;
  process.start_time_ns = ticks * (1'000'000'000ULL / static_cast<std::uint64_t>(::sysconf(_SC_CLK_TCK)));
}

pid_t innermost_pid(const std::string& status) {
  const std::size_t at = status.find("\nNSpid:");
  if (at == std::string::npos) return 0;
  std::istringstream line(status.substr(at + 7, status.find('\n', at + 1) - at - 7));
  pid_t pid = 0;
  while (line >> pid) {
  }
  return pid;
}

std::string cgroup2_path(const std::string& cgroups) {
  std::istringstream lines(cgroups);
  for (std::string line; std::getline(lines, line);) {
    if (line.starts_with("0::")) return line.substr(3);
  }
  return {};
}

}  // namespace

Result<Process> read_process(pid_t pid) {
  Process process;
  process.pid = pid;
  const std::string stat = slurp(path_of(pid, "stat"));
  if (stat.empty()) return Failure(system_error(ESRCH, "pid " + std::to_string(pid)));
  parse_stat(stat, process);
  process.own_pid = innermost_pid(slurp(path_of(pid, "status")));
  if (process.own_pid == 0) process.own_pid = pid;
  process.exe = link_target(path_of(pid, "exe"));
  process.cgroup = cgroup2_path(slurp(path_of(pid, "cgroup")));
  struct stat netns {};
  if (::stat(path_of(pid, "ns/net").c_str(), &netns) == 0) process.netns = netns.st_ino;
  return process;
}

std::vector<pid_t> all_pids() {
  std::vector<pid_t> pids;
  const std::unique_ptr<DIR, int (*)(DIR*)> proc(::opendir("/proc"), ::closedir);
  while (const dirent* entry = proc ? ::readdir(proc.get()) : nullptr) {
    const std::string_view name = entry->d_name;
    pid_t pid = 0;
    const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), pid);
    if (error == std::errc() && end == name.data() + name.size()) pids.push_back(pid);
  }
  std::sort(pids.begin(), pids.end());
  return pids;
}

std::vector<pid_t> pids_named(const std::string& comm) {
  std::vector<pid_t> found;
  for (const pid_t pid : all_pids()) {
    const auto process = read_process(pid);
    if (process && process->comm == comm && !process->zombie && pid != ::getpid()) found.push_back(pid);
  }
  return found;
}

}  // namespace conntrace::cli
