// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <linux/tcp.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <cstdint>
#include <string>

#include "conntrace/reasons.h"
#include "conntrace/unique_fd.h"

namespace conntrace::bpftest {

/// What the kernel tells the process itself: the other side of every comparison. Failures throw std::system_error.

[[nodiscard]] std::uint64_t cookie_of(const UniqueFd& socket);  // SO_COOKIE
[[nodiscard]] std::string local_of(const UniqueFd& socket);     // getsockname
[[nodiscard]] std::string remote_of(const UniqueFd& socket);    // getpeername
[[nodiscard]] tcp_info tcp_info_of(const UniqueFd& socket);     // TCP_INFO
[[nodiscard]] std::uint64_t netns_of_thread();                  // /proc/thread-self/ns/net
[[nodiscard]] std::uint64_t start_time_of_self();               // /proc/self/stat
[[nodiscard]] std::string comm_of_thread();                     // prctl
/// Descriptors that readdir shows.
[[nodiscard]] std::uint64_t descriptors_in_proc(pid_t pid);

[[nodiscard]] UniqueFd tcp_listener(int family = AF_INET, int backlog = 4096);
[[nodiscard]] UniqueFd tcp_socket(int family = AF_INET);
/// Connects to the listener over loopback. With a v6 listener, `family` says by which protocol.
void connect_to(const UniqueFd& socket, const UniqueFd& listener, int family = AF_INET);
[[nodiscard]] UniqueFd accept_from(const UniqueFd& listener);
void abort_on_close(const UniqueFd& socket);  // SO_LINGER of no time
void send_text(const UniqueFd& socket, const std::string& text);
/// What one recv gives; empty at the end.
[[nodiscard]] std::string receive(const UniqueFd& socket);
/// Until TCP_INFO shows the state.
void wait_for_state(const UniqueFd& socket, TcpState state);

/// Both ends of one connection.
struct Pair {
  UniqueFd client;
  UniqueFd server;
};
[[nodiscard]] Pair connected_pair(const UniqueFd& listener);

/// A fresh network namespace for the calling thread, loopback up. As root.
void enter_new_netns();

}  // namespace conntrace::bpftest
