// SPDX-License-Identifier: Apache-2.0
#include "transport/descriptors.h"

#include <sys/resource.h>
#include <sys/stat.h>

namespace conntrace::transport {

Descriptors::Descriptors() : directory_(opendir("/proc/self/fd")) {}

std::optional<std::uint64_t> Descriptors::open() const {
  if (directory_ == nullptr) return std::nullopt;
  struct stat status {};
  if (fstat(dirfd(directory_.get()), &status) == 0 && status.st_size > 0) {
    return static_cast<std::uint64_t>(status.st_size);
  }
  std::uint64_t count = 0;
  rewinddir(directory_.get());
  while (const dirent* entry = readdir(directory_.get())) {
    if (entry->d_name[0] != '.') ++count;
  }
  return count;
}

std::optional<std::uint64_t> Descriptors::soft_limit() {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY) return std::nullopt;
  return limit.rlim_cur;
}

}  // namespace conntrace::transport
