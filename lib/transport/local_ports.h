// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <string>

namespace conntrace::transport {

/// How much of the local ports the sockets to one ip:port take; what a connect that fails with EADDRNOTAVAIL means.
struct PortUse {
  std::uint64_t local_ports = 0;  ///< size of net.ipv4.ip_local_port_range
  std::uint64_t sockets = 0;      ///< to that ip:port, in any state but LISTEN, TIME_WAIT included

  /// Most are taken. Not all need be: ports that are reserved or bound by others cannot be used either.
  [[nodiscard]] bool exhausted() const { return sockets * 10 >= local_ports * 9; }
};

/// Of the calling thread's network namespace. Nothing: /proc or sock_diag does not answer.
///
/// Blocking: dumps the sockets to that port, about 0.3 µs each.
/// Source:   ip-sysctl (ip_local_port_range), sock_diag(7).
[[nodiscard]] std::optional<PortUse> port_use(const std::string& ip_port);

}  // namespace conntrace::transport
