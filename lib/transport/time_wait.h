// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/socket.h>

#include <optional>

namespace conntrace::transport {

/// Whether the kernel keeps this connection in TIME_WAIT, as it does for the side whose FIN was first (RFC 9293 section
/// 3.6). Nothing: sock_diag does not answer.
///
/// Blocking: two system calls of some microseconds.
[[nodiscard]] std::optional<bool> in_time_wait(const sockaddr_storage& local, const sockaddr_storage& remote);

}  // namespace conntrace::transport
