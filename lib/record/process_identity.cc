// SPDX-License-Identifier: Apache-2.0
#include "record/process_identity.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <charconv>
#include <string_view>

#include "conntrace/unique_fd.h"

namespace conntrace {
namespace {

std::string read_small_file(const char* path) {
  const UniqueFd file(open(path, O_RDONLY | O_CLOEXEC));
  if (!file.valid()) return {};
  std::array<char, 4096> bytes;
  const ssize_t got = read(file.get(), bytes.data(), bytes.size());
  return got > 0 ? std::string(bytes.data(), static_cast<std::size_t>(got)) : std::string();
}

std::string first_line(const char* path) {
  std::string text = read_small_file(path);
  return text.substr(0, text.find('\n'));
}

std::string read_link(const char* path) {
  std::array<char, 4096> bytes;
  const ssize_t got = readlink(path, bytes.data(), bytes.size());
  return got > 0 ? std::string(bytes.data(), static_cast<std::size_t>(got)) : std::string();
}

/// Field 22 of /proc/PID/stat, in nanoseconds; 0 if it is not there.
std::uint64_t start_time_ns(std::string_view stat) {
  const std::size_t comm_end = stat.rfind(')');  // the command name may contain anything
  if (comm_end == std::string_view::npos) return 0;
  stat.remove_prefix(comm_end + 1);
  for (int field = 2; field < 22; ++field) {
    const std::size_t space = stat.find(' ');
    if (space == std::string_view::npos) return 0;
    stat.remove_prefix(space + 1);
  }
  std::uint64_t ticks = 0;
  std::from_chars(stat.data(), stat.data() + stat.size(), ticks);
  return ticks * (1'000'000'000 / static_cast<std::uint64_t>(sysconf(_SC_CLK_TCK)));
}

/// The line of the one hierarchy that has no controllers listed: cgroup2.
std::string cgroup2_path(std::string_view cgroups) {
  while (!cgroups.empty()) {
    const std::string_view line = cgroups.substr(0, cgroups.find('\n'));
    if (line.starts_with("0::")) return std::string(line.substr(3));
    cgroups.remove_prefix(std::min(line.size() + 1, cgroups.size()));
  }
  return {};
}

}  // namespace

EventHeader ProcessIdentity::header(std::uint64_t mono_ns) const {
  return {.mono_ns = mono_ns, .source = Source::hook, .pid = pid, .start_time_ns = start_time_ns};
}

ProcessIdentity read_process_identity() {
  ProcessIdentity identity;
  identity.pid = static_cast<std::uint32_t>(getpid());
  identity.start_time_ns = start_time_ns(read_small_file("/proc/self/stat"));
  struct stat netns {};
  if (stat("/proc/self/ns/net", &netns) == 0) identity.netns = netns.st_ino;
  identity.boot_id = first_line("/proc/sys/kernel/random/boot_id");
  std::array<char, 256> host{};
  if (gethostname(host.data(), host.size() - 1) == 0) identity.host = host.data();
  identity.comm = first_line("/proc/self/comm");
  identity.exe = read_link("/proc/self/exe");
  identity.cgroup = cgroup2_path(read_small_file("/proc/self/cgroup"));
  return identity;
}

}  // namespace conntrace
