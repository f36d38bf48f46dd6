// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>
#include <vector>

#include "support/temporary_file.h"

namespace conntrace::test {

/// Where the program is (PATH, /usr/sbin and /sbin); empty: it is not installed.
[[nodiscard]] std::string find_program(const std::string& name);

/// A server that somebody else wrote, listening on 127.0.0.1. Ended by the destructor.
class PeerProcess {
 public:
  /// Returns when the port accepts connections; throws, with what the program said, if it does not.
  PeerProcess(const std::vector<std::string>& command, std::uint16_t port);
  ~PeerProcess();
  PeerProcess(const PeerProcess&) = delete;
  PeerProcess& operator=(const PeerProcess&) = delete;

  /// What it said so far, on both streams.
  [[nodiscard]] std::string log() const;

 private:
  TemporaryFile log_{""};
  pid_t pid_ = -1;
};

}  // namespace conntrace::test
