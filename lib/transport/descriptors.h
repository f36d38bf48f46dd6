// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <dirent.h>

#include <cstdint>
#include <optional>

#include "base/owned.h"

namespace conntrace::transport {

/// The descriptors of this process. Holds one itself, since none can be opened when they are most asked for.
///
/// Threading: one caller at a time.
class Descriptors {
 public:
  Descriptors();

  /// How many are open; nothing if /proc is not there. One fstat where the kernel counts them (6.2 and newer), else a
  /// walk over the directory.
  [[nodiscard]] std::optional<std::uint64_t> open() const;
  /// RLIMIT_NOFILE.
  [[nodiscard]] static std::optional<std::uint64_t> soft_limit();

 private:
  Owned<DIR, closedir> directory_;
};

}  // namespace conntrace::transport
