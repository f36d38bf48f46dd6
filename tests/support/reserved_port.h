// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <netinet/in.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstdint>
#include <string>
#include <system_error>

#include "conntrace/unique_fd.h"

namespace conntrace::test {

/// A port of 127.0.0.1 that is bound and does not listen. It refuses connections, and while it lives the kernel gives
/// it to nobody who asks for a free one; but a server that sets SO_REUSEADDR can be told to listen on it.
class ReservedPort {
 public:
  ReservedPort() {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    auto* const generic = reinterpret_cast<sockaddr*>(&address);
    socklen_t size = sizeof address;
    const int on = 1;
    if (bind(fd_.get(), generic, size) != 0 || getsockname(fd_.get(), generic, &size) != 0 ||
        setsockopt(fd_.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) != 0) {
      throw std::system_error(errno, std::system_category(), "reserve a port");
    }
    port_ = ntohs(address.sin_port);
  }
  [[nodiscard]] std::uint16_t port() const { return port_; }
  [[nodiscard]] std::string url(const std::string& path = "/") const {
    return "http://127.0.0.1:" + std::to_string(port_) + path;
  }

 private:
  UniqueFd fd_{socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)};
  std::uint16_t port_ = 0;
};

}  // namespace conntrace::test
