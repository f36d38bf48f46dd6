// SPDX-License-Identifier: Apache-2.0
#include "agent/census.h"

#include <dirent.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <fstream>
#include <memory>
#include <sstream>

#include "agent/observer.h"
#include "conntrace/clock.h"

namespace conntrace::agent {
namespace {

struct Limits {
  std::optional<std::uint64_t> soft;
  std::optional<std::uint64_t> hard;
};

std::optional<std::uint64_t> number(std::string_view word) {
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), value);
  // "unlimited" is no number, and no limit.
  if (error != std::errc() || end != word.data() + word.size()) return std::nullopt;
  return value;
}

Limits read_limits(pid_t pid) {
  static constexpr std::string_view kName = "Max open files";
  std::ifstream file(fmt::format("/proc/{}/limits", pid));
  for (std::string line; std::getline(file, line);) {
    if (line.rfind(kName, 0) != 0) continue;
    std::istringstream words(line.substr(kName.size()));
    std::string soft;
    std::string hard;
    words >> soft >> hard;
    return {number(soft), number(hard)};
  }
  return {};
}

Result<std::uint64_t> count(pid_t pid) {
  const std::string path = fmt::format("/proc/{}/fd", pid);
  struct stat status {};
  if (stat(path.c_str(), &status) != 0) return Failure(system_error(errno == ENOENT ? ESRCH : errno, path));
  // From Linux 6.2 on the size is the count; before, it is 0.
  if (status.st_size > 0) return static_cast<std::uint64_t>(status.st_size);
  const std::unique_ptr<DIR, int (*)(DIR*)> directory(opendir(path.c_str()), closedir);
  if (!directory) return Failure(system_error(errno == ENOENT ? ESRCH : errno, path));
  std::uint64_t count = 0;
  while (const dirent* entry = readdir(directory.get())) {
    if (entry->d_name[0] != '.') ++count;
  }
  // Looking at oneself takes a descriptor.
  return pid == getpid() && count > 0 ? count - 1 : count;
}

}  // namespace

Result<Event> count_descriptors(ProcessInfo process) {
  auto open = count(process.pid);
  if (!open) return Failure(std::move(open).error());
  const Limits limits = read_limits(process.pid);
  auto comm = std::make_shared<const std::string>(std::move(process.comm));
  const EventHeader header{.mono_ns = static_cast<std::uint64_t>(mono_now().count()),
                           .source = Source::proc,
                           .pid = static_cast<std::uint32_t>(process.pid),
                           .start_time_ns = process.start_time_ns};
  Event event = make_event<EventKind::fd_census>(
      header, {.open = *open, .soft_limit = limits.soft, .hard_limit = limits.hard, .comm = *comm});
  event.storage = std::move(comm);
  return event;
}

Result<Event> proc_fd_census(pid_t pid) {
  auto process = read_process_info(pid);
  if (!process) return Failure(std::move(process).error());
  return count_descriptors(std::move(*process));
}

}  // namespace conntrace::agent
