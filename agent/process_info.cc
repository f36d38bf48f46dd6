// SPDX-License-Identifier: Apache-2.0
#include "agent/process_info.h"

#include <dirent.h>
#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <climits>
#include <fstream>
#include <memory>
#include <sstream>
#include <string_view>

namespace conntrace::agent {
namespace {

std::string read_text(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::ostringstream text;
  if (file) text << file.rdbuf();
  return std::move(text).str();
}

std::string read_link(const std::string& path) {
  std::string target(PATH_MAX, '\0');
  const ssize_t length = readlink(path.c_str(), target.data(), target.size());
  target.resize(length > 0 ? static_cast<std::size_t>(length) : 0);
  return target;
}

/// The value of "Name:\tvalue" in /proc/PID/status.
std::string_view status_value(std::string_view status, std::string_view name) {
  for (std::size_t at = 0; at < status.size();) {
    const std::size_t end = std::min(status.find('\n', at), status.size());
    const std::string_view line = status.substr(at, end - at);
    if (line.substr(0, name.size()) == name && line.size() > name.size() + 1 && line[name.size()] == ':') {
      return line.substr(name.size() + 2);
    }
    at = end + 1;
  }
  return {};
}

std::string cgroup2_path(pid_t pid) {
  std::istringstream lines(read_text(fmt::format("/proc/{}/cgroup", pid)));
  for (std::string line; std::getline(lines, line);) {
    if (line.rfind("0::", 0) == 0) return line.substr(3);
  }
  return {};
}

std::uint64_t start_time_of(std::string_view stat) {
  // The command name, in parentheses, may hold spaces and parentheses itself; field 3 begins after the last one.
  const std::size_t close = stat.rfind(')');
  if (close == std::string_view::npos || close + 2 >= stat.size()) return 0;
  std::string_view rest = stat.substr(close + 2);
  for (int field = 3; field < 22; ++field) {
    const std::size_t space = rest.find(' ');
    if (space == std::string_view::npos) return 0;
    rest.remove_prefix(space + 1);
  }
  std::uint64_t ticks = 0;
  std::from_chars(rest.data(), rest.data() + rest.size(), ticks);
  return ticks * (1'000'000'000u / static_cast<std::uint64_t>(sysconf(_SC_CLK_TCK)));
}

}  // namespace

Result<ProcessInfo> read_process_stat(pid_t pid) {
  const std::string stat = pid > 0 ? read_text(fmt::format("/proc/{}/stat", pid)) : std::string();
  const std::size_t open = stat.find('(');
  const std::size_t close = stat.rfind(')');
  ProcessInfo info{.pid = pid, .start_time_ns = start_time_of(stat)};
  if (info.start_time_ns == 0 || open == std::string::npos) {
    return Failure(system_error(ESRCH, fmt::format("process {}", pid)));
  }
  info.comm = stat.substr(open + 1, close - open - 1);
  return info;
}

Result<ProcessInfo> read_process_info(pid_t pid) {
  const std::string status = pid > 0 ? read_text(fmt::format("/proc/{}/status", pid)) : std::string();
  if (status.empty()) return Failure(system_error(ESRCH, fmt::format("process {}", pid)));
  if (const auto tgid = status_value(status, "Tgid"); tgid != std::to_string(pid)) {
    return Failure(system_error(EINVAL, fmt::format("{} is a thread of process {}", pid, tgid)));
  }
  auto info = read_process_stat(pid);
  if (!info) return info;
  info->exe = read_link(fmt::format("/proc/{}/exe", pid));
  info->cgroup = cgroup2_path(pid);
  return info;
}

std::vector<pid_t> all_processes() {
  std::vector<pid_t> pids;
  const std::unique_ptr<DIR, int (*)(DIR*)> proc(opendir("/proc"), closedir);
  if (!proc) return pids;
  while (const dirent* entry = readdir(proc.get())) {
    const std::string_view name = entry->d_name;
    pid_t pid = 0;
    if (std::from_chars(name.data(), name.data() + name.size(), pid).ptr != name.data() + name.size()) continue;
    // Kernel threads have no address space, and so no such line.
    if (!status_value(read_text(fmt::format("/proc/{}/status", pid)), "VmSize").empty()) pids.push_back(pid);
  }
  return pids;
}

}  // namespace conntrace::agent
