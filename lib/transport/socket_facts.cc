// SPDX-License-Identifier: Apache-2.0
#include "transport/socket_facts.h"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <optional>

#include "transport/time_wait.h"

namespace conntrace::transport {

std::uint64_t socket_cookie(int fd) {
  std::uint64_t cookie = 0;
  socklen_t size = sizeof cookie;
  return getsockopt(fd, SOL_SOCKET, SO_COOKIE, &cookie, &size) == 0 ? cookie : 0;
}

std::uint64_t current_netns() {
  struct stat status {};
  return stat("/proc/thread-self/ns/net", &status) == 0 ? status.st_ino : 0;
}

bool is_ip_address(const std::string& host) {
  in6_addr buffer;
  return inet_pton(AF_INET, host.c_str(), &buffer) == 1 || inet_pton(AF_INET6, host.c_str(), &buffer) == 1;
}

std::string format_address(const sockaddr* address) {
  std::array<char, INET6_ADDRSTRLEN> text{};
  if (address->sa_family == AF_INET) {
    sockaddr_in v4{};
    std::memcpy(&v4, address, sizeof v4);
    inet_ntop(AF_INET, &v4.sin_addr, text.data(), text.size());
    return fmt::format("{}:{}", text.data(), ntohs(v4.sin_port));
  }
  if (address->sa_family != AF_INET6) return {};
  sockaddr_in6 v6{};
  std::memcpy(&v6, address, sizeof v6);
  if (IN6_IS_ADDR_V4MAPPED(&v6.sin6_addr)) {
    inet_ntop(AF_INET, &v6.sin6_addr.s6_addr[12], text.data(), text.size());
    return fmt::format("{}:{}", text.data(), ntohs(v6.sin6_port));
  }
  inet_ntop(AF_INET6, &v6.sin6_addr, text.data(), text.size());
  return fmt::format("[{}]:{}", text.data(), ntohs(v6.sin6_port));
}

std::string local_address(int fd) {
  sockaddr_storage address{};
  socklen_t size = sizeof address;
  if (getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size) != 0) return {};
  return format_address(reinterpret_cast<const sockaddr*>(&address));
}

std::string remote_address(int fd) {
  sockaddr_storage address{};
  socklen_t size = sizeof address;
  if (getpeername(fd, reinterpret_cast<sockaddr*>(&address), &size) != 0) return {};
  return format_address(reinterpret_cast<const sockaddr*>(&address));
}

TcpState tcp_state(int fd) {
  tcp_info info{};
  socklen_t size = sizeof info;
  if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &size) != 0) return TcpState::NONE;
  return static_cast<TcpState>(info.tcpi_state);
}

Ending close_socket(int fd) {
  const TcpState before = tcp_state(fd);
  TcpState after = before;
  int error_number = 0;
  sockaddr_storage local{};
  sockaddr_storage remote{};
  socklen_t local_size = sizeof local;
  socklen_t remote_size = sizeof remote;
  const bool named = getsockname(fd, reinterpret_cast<sockaddr*>(&local), &local_size) == 0 &&
                     getpeername(fd, reinterpret_cast<sockaddr*>(&remote), &remote_size) == 0;
  const auto take_error = [&] {
    socklen_t size = sizeof error_number;
    getsockopt(fd, SOL_SOCKET, SO_ERROR, &error_number, &size);
  };
  // Reset before anybody read it. EPIPE: reset after its FIN.
  if (before == TcpState::CLOSE) take_error();
  const bool reset_before = error_number == ECONNRESET || error_number == EPIPE;
  if (before == TcpState::ESTABLISHED || before == TcpState::CLOSE_WAIT) {
    shutdown(fd, SHUT_WR);
    after = tcp_state(fd);
    take_error();
  }
  close(fd);
  if (reset_before) return {ClosedBy::peer, false};
  if (before == TcpState::CLOSE_WAIT || after == TcpState::LAST_ACK) return {ClosedBy::peer, false};
  switch (after) {
    case TcpState::FIN_WAIT1:
    case TcpState::FIN_WAIT2:
    case TcpState::CLOSING: return {ClosedBy::local, false};
    default: break;
  }
  if (before != TcpState::ESTABLISHED || error_number != 0 || !named) return {};
  const std::optional<bool> time_wait = in_time_wait(local, remote);
  if (!time_wait) return {};
  return *time_wait ? Ending{ClosedBy::local, false} : Ending{ClosedBy::peer, true};
}

}  // namespace conntrace::transport
