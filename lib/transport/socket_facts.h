// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/socket.h>

#include <cstdint>
#include <optional>
#include <string>

#include "conntrace/reasons.h"

namespace conntrace::transport {

/// SO_COOKIE (Linux 4.6): the kernel's name of the socket, equal to bpf_get_socket_cookie. 0 if it cannot be had.
[[nodiscard]] std::uint64_t socket_cookie(int fd);
/// Inode of the calling thread's network namespace; 0 if /proc is not there.
[[nodiscard]] std::uint64_t current_netns();

/// The cookie of the network namespace in which this thread makes sockets (Linux 5.14); 0 if it cannot be had.
[[nodiscard]] std::uint64_t current_netns_cookie();
/// Whether the socket is of the namespace with this cookie. False, too, if that cannot be had.
[[nodiscard]] bool is_of_netns(int fd, std::uint64_t cookie);

/// A literal, without brackets.
[[nodiscard]] bool is_ip_address(const std::string& host);
/// ip:port or [ip6]:port, IPv4-mapped addresses as IPv4; empty for other families.
[[nodiscard]] std::string format_address(const sockaddr* address);
/// The same of this and of the other side; of a Unix socket its path, with '@' in front in the abstract namespace,
/// empty if it has none.
[[nodiscard]] std::string local_address(int fd);
[[nodiscard]] std::string remote_address(int fd);

/// The state that TCP_INFO says; NONE if it says nothing.
[[nodiscard]] TcpState tcp_state(int fd);

/// Which side's FIN came first.
struct Ending {
  ClosedBy by = ClosedBy::unknown;
  bool inferred = false;  ///< concluded, not seen
};

/// Between Unix sockets nothing is on its way: the peer's end is there, or ours will be the first. Nothing: `fd` is
/// none.
[[nodiscard]] std::optional<Ending> unix_ending(int fd);

/// Half-close, and who ended first: us, unless the peer's end is there; inferred if that has come since. unknown: the
/// socket does not tell.
[[nodiscard]] Ending end_sending_side(int fd);

/// Ends a TCP socket's sending side and closes it.
///
/// The states before and after our own FIN tell (RFC 9293 section 3.6): CLOSE_WAIT before or LAST_ACK after, the peer's
/// FIN was first; FIN_WAIT or CLOSING after, ours was. A peer that answers at once, as on loopback, leaves no state
/// after; then TIME_WAIT tells that ours was first, and its absence is marked as inferred (the kernel may be out of
/// room for it). A reset before our FIN is the peer's doing; if somebody has taken its error (OpenSSL's reads do), it
/// is inferred from the end of a connection on which nothing was sent in vain. A reset that answers our FIN may have
/// crossed it, so that we were first is marked as inferred. unknown: the kernel gave up, or sock_diag does not answer.
/// A Unix socket is shut down, as a duplicate may live on; see unix_ending().
[[nodiscard]] Ending close_socket(int fd);

}  // namespace conntrace::transport
