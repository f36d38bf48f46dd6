// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "conntrace/error.h"
#include "conntrace/reasons.h"

namespace conntrace::cli {

/// One TCP socket of this process' network namespace, as NETLINK_SOCK_DIAG shows it. Needs no privilege.
struct DiagSocket {
  std::uint64_t cookie = 0;  ///< equals SO_COOKIE
  std::uint64_t inode = 0;   ///< as in /proc/PID/fd; 0: no process has it open any more
  TcpState state = TcpState::NONE;
  std::uint32_t uid = 0;
  std::string local;      ///< ip:port
  std::string remote;     ///< ip:port
  bool has_info = false;  ///< the four below are known
  std::uint64_t bytes_sent = 0;
  std::uint64_t bytes_received = 0;
  std::uint32_t retransmits = 0;  ///< SYNs included
  std::uint32_t srtt_us = 0;
};

/// All TCP sockets but listeners and TIME_WAIT (which have no cookie). One snapshot: what lives shorter than the
/// caller's interval is never seen. Source: sock_diag(7), include/uapi/linux/inet_diag.h.
[[nodiscard]] Result<std::vector<DiagSocket>> dump_tcp_sockets();

}  // namespace conntrace::cli
