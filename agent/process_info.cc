// SPDX-License-Identifier: Apache-2.0
#include "agent/process_info.h"

#include <dirent.h>
#include <fmt/format.h>
#include <sys/stat.h>
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

/// The real, effective and saved id, if they are one.
std::optional<uid_t> single_id(std::string_view status, std::string_view name) {
  std::istringstream ids{std::string(status_value(status, name))};
  uid_t real = 0;
  uid_t effective = 0;
  uid_t saved = 0;
  if (!(ids >> real >> effective >> saved) || real != effective || real != saved) return std::nullopt;
  return real;
}

/// Whom the kernel lets look into the process: set-user-ID and set-group-ID programs, those with capabilities of their
/// file, and those that may not be dumped are nobody's. (Of the last, the files in /proc belong to root.)
std::optional<uid_t> owner_of(pid_t pid, std::string_view status) {
  const auto user = single_id(status, "Uid");
  if (!user || *user == 0) return user;
  const bool privileged = status_value(status, "CapPrm").find_first_not_of('0') != std::string_view::npos;
  struct stat file {};
  const std::string path = fmt::format("/proc/{}/status", pid);
  if (privileged || !single_id(status, "Gid") || stat(path.c_str(), &file) != 0 || file.st_uid != *user) {
    return std::nullopt;
  }
  return user;
}

std::string cgroup2_path(pid_t pid) {
  std::istringstream lines(read_text(fmt::format("/proc/{}/cgroup", pid)));
  for (std::string line; std::getline(lines, line);) {
    if (line.rfind("0::", 0) == 0) return line.substr(3);
  }
  return {};
}

std::vector<pid_t> numbers_in_proc() {
  std::vector<pid_t> pids;
  const std::unique_ptr<DIR, int (*)(DIR*)> proc(opendir("/proc"), closedir);
  if (!proc) return pids;
  while (const dirent* entry = readdir(proc.get())) {
    const std::string_view name = entry->d_name;
    pid_t pid = 0;
    if (std::from_chars(name.data(), name.data() + name.size(), pid).ptr == name.data() + name.size()) {
      pids.push_back(pid);
    }
  }
  return pids;
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
  auto info = pid > 0 ? read_process_stat(pid) : Failure(system_error(ESRCH, fmt::format("process {}", pid)));
  if (!info) return info;
  const std::string status = read_text(fmt::format("/proc/{}/status", pid));
  if (status.empty()) return Failure(system_error(ESRCH, fmt::format("process {}", pid)));
  if (const auto tgid = status_value(status, "Tgid"); tgid != std::to_string(pid)) {
    return Failure(system_error(EINVAL, fmt::format("{} is a thread of process {}", pid, tgid)));
  }
  info->exe = read_link(fmt::format("/proc/{}/exe", pid));
  info->cgroup = cgroup2_path(pid);
  info->owner = owner_of(pid, status);
  // What was read since is of the same process only if it is still there.
  if (auto again = read_process_stat(pid); !again || again->start_time_ns != info->start_time_ns) {
    return Failure(system_error(ESRCH, fmt::format("process {}", pid)));
  }
  return info;
}

bool is_gone(const ProcessInfo& process) {
  struct stat folder {};
  if (stat(fmt::format("/proc/{}", process.pid).c_str(), &folder) != 0) return errno == ENOENT;
  const auto now = read_process_stat(process.pid);
  return now && now->start_time_ns != process.start_time_ns;
}

std::vector<pid_t> processes_of(const std::set<uid_t>& users) {
  auto pids = numbers_in_proc();
  std::erase_if(pids, [&users](pid_t pid) {
    struct stat file {};
    return stat(fmt::format("/proc/{}/status", pid).c_str(), &file) != 0 || !users.contains(file.st_uid);
  });
  return pids;
}

std::vector<pid_t> all_processes() {
  auto pids = numbers_in_proc();
  std::erase_if(pids, [](pid_t pid) {
    // Kernel threads have no address space, and so no such line.
    return status_value(read_text(fmt::format("/proc/{}/status", pid)), "VmSize").empty();
  });
  return pids;
}

}  // namespace conntrace::agent
