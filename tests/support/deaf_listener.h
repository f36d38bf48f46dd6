// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <netinet/in.h>
#include <sys/socket.h>

#include <cstdint>

#include "conntrace/unique_fd.h"

namespace conntrace::test {

/// A listener on 127.0.0.1 whose accept queue is full: it drops SYNs, so that connecting to it hangs.
class DeafListener {
 public:
  DeafListener()
      : listener_(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)),
        filler_(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    auto* generic = reinterpret_cast<sockaddr*>(&address);
    works_ = bind(listener_.get(), generic, size) == 0 && listen(listener_.get(), 0) == 0 &&
             getsockname(listener_.get(), generic, &size) == 0 && connect(filler_.get(), generic, size) == 0;
    port_ = ntohs(address.sin_port);
  }
  [[nodiscard]] bool works() const { return works_; }
  [[nodiscard]] std::uint16_t port() const { return port_; }

 private:
  UniqueFd listener_;
  UniqueFd filler_;
  std::uint16_t port_ = 0;
  bool works_ = false;
};

}  // namespace conntrace::test
