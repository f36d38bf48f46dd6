// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>
#include <string_view>

#include "conntrace/unique_fd.h"

namespace conntrace::test {

/// A server on 127.0.0.1 in a process of its own, for tests that take descriptors away from theirs. It answers every
/// request with 200; one for /held only after release().
///
/// Make it before any thread: it forks.
class ServerProcess {
 public:
  ServerProcess();
  ~ServerProcess();
  ServerProcess(const ServerProcess&) = delete;
  ServerProcess& operator=(const ServerProcess&) = delete;

  [[nodiscard]] std::string url(std::string_view path = "/") const;
  /// Lets one request for /held go on, now or when it comes.
  void release();

 private:
  pid_t child_ = -1;
  UniqueFd control_;
  std::uint16_t port_ = 0;
};

}  // namespace conntrace::test
