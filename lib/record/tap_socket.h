// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/types.h>

#include <string>

#include "conntrace/error.h"
#include "conntrace/unique_fd.h"

namespace conntrace {

/// A listening Unix stream socket (0600, non-blocking) and its place in the file system, which goes with it.
///
/// Errors: EADDRINUSE if somebody listens there, or what is there is not a socket of this user. What a process left
///         behind that died is replaced.
class TapSocket {
 public:
  [[nodiscard]] static Result<TapSocket> listen(const std::string& path);
  ~TapSocket();
  TapSocket(TapSocket&&) noexcept = default;
  TapSocket& operator=(TapSocket&&) = delete;

  [[nodiscard]] int fd() const { return fd_.get(); }
  [[nodiscard]] const std::string& path() const { return path_; }

 private:
  TapSocket(UniqueFd fd, std::string path, dev_t device, ino_t inode);

  UniqueFd fd_;
  std::string path_;
  dev_t device_;
  ino_t inode_;
};

/// Whether who is at the other end of a Unix socket may read what this process does: root, or the same effective user.
[[nodiscard]] bool peer_may_read(int fd);

}  // namespace conntrace
