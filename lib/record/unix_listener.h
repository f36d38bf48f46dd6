// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/types.h>

#include <string>

#include "conntrace/error.h"
#include "conntrace/unique_fd.h"

namespace conntrace {

/// A listening Unix stream socket (non-blocking) and its place in the file system, which goes with it.
///
/// Errors: EADDRINUSE if somebody listens there, or what is there is not a socket of this user. What a process left
///         behind that died is replaced.
class UnixListener {
 public:
  /// `mode`: who may connect.
  [[nodiscard]] static Result<UnixListener> listen(const std::string& path, mode_t mode);
  ~UnixListener();
  UnixListener(UnixListener&&) noexcept = default;
  UnixListener& operator=(UnixListener&&) = delete;

  [[nodiscard]] int fd() const { return fd_.get(); }
  [[nodiscard]] const std::string& path() const { return path_; }

 private:
  UnixListener(UniqueFd fd, std::string path, dev_t device, ino_t inode);

  UniqueFd fd_;
  std::string path_;
  dev_t device_;
  ino_t inode_;
};

/// Whether who is at the other end of a Unix socket may read what this process does: root, or the same effective user.
[[nodiscard]] bool peer_may_read(int fd);

}  // namespace conntrace
