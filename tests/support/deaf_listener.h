// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <netinet/in.h>
#include <sys/socket.h>

#include <cstdint>

#include "conntrace/unique_fd.h"

namespace conntrace::test {

/// A listener on loopback whose accept queue is full: it drops SYNs, so that connecting to it hangs.
class DeafListener {
 public:
  /// On a free port of 127.0.0.1.
  DeafListener() {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    fill(address);
    port_ = ntohs(address.sin_port);
  }
  /// On this port of [::1].
  explicit DeafListener(std::uint16_t port) : port_(port) {
    sockaddr_in6 address{};
    address.sin6_family = AF_INET6;
    address.sin6_addr = in6addr_loopback;
    address.sin6_port = htons(port);
    fill(address);
  }
  [[nodiscard]] bool works() const { return works_; }
  [[nodiscard]] std::uint16_t port() const { return port_; }

 private:
  template <class Address>
  void fill(Address& address) {
    auto* generic = reinterpret_cast<sockaddr*>(&address);
    const int family = generic->sa_family;
    listener_.reset(socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0));
    filler_.reset(socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0));
    socklen_t size = sizeof address;
    works_ = bind(listener_.get(), generic, size) == 0 && listen(listener_.get(), 0) == 0 &&
             getsockname(listener_.get(), generic, &size) == 0 && connect(filler_.get(), generic, size) == 0;
  }

  UniqueFd listener_;
  UniqueFd filler_;
  std::uint16_t port_ = 0;
  bool works_ = false;
};

}  // namespace conntrace::test
