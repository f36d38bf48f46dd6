// SPDX-License-Identifier: Apache-2.0
#include "transport/socket_facts.h"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstddef>
#include <cstring>
#include <optional>

#include "conntrace/unique_fd.h"
#include "transport/time_wait.h"

namespace conntrace::transport {
namespace {

std::string address_by(int (*ask)(int, sockaddr*, socklen_t*), int fd) {
  sockaddr_storage address{};
  socklen_t size = sizeof address;
  if (ask(fd, reinterpret_cast<sockaddr*>(&address), &size) != 0) return {};
  if (address.ss_family != AF_UNIX) return format_address(reinterpret_cast<const sockaddr*>(&address));
  sockaddr_un local{};
  std::memcpy(&local, &address, std::min<std::size_t>(size, sizeof local));
  constexpr std::size_t kPathAt = offsetof(sockaddr_un, sun_path);
  if (size <= kPathAt) return {};
  std::string path(local.sun_path, std::min<std::size_t>(size, sizeof local) - kPathAt);
  if (path.front() != '\0') return path.substr(0, path.find('\0'));
  path.front() = '@';
  return path;
}

}  // namespace

std::uint64_t socket_cookie(int fd) {
  std::uint64_t cookie = 0;
  socklen_t size = sizeof cookie;
  return getsockopt(fd, SOL_SOCKET, SO_COOKIE, &cookie, &size) == 0 ? cookie : 0;
}

std::uint64_t current_netns() {
  struct stat status {};
  return stat("/proc/thread-self/ns/net", &status) == 0 ? status.st_ino : 0;
}

namespace {

std::uint64_t netns_cookie(int fd) {
  std::uint64_t cookie = 0;
#ifdef SO_NETNS_COOKIE
  socklen_t size = sizeof cookie;
  if (getsockopt(fd, SOL_SOCKET, SO_NETNS_COOKIE, &cookie, &size) != 0) return 0;
#else
  static_cast<void>(fd);
#endif
  return cookie;
}

}  // namespace

std::uint64_t current_netns_cookie() {
  const UniqueFd any(socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  return any.valid() ? netns_cookie(any.get()) : 0;
}

bool is_of_netns(int fd, std::uint64_t cookie) { return cookie != 0 && netns_cookie(fd) == cookie; }

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

std::string local_address(int fd) { return address_by(getsockname, fd); }
std::string remote_address(int fd) { return address_by(getpeername, fd); }

namespace {

tcp_info tcp_info_of(int fd) {
  tcp_info info{};
  socklen_t size = sizeof info;
  if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &size) != 0) return {};
  return info;
}

}  // namespace

TcpState tcp_state(int fd) { return static_cast<TcpState>(tcp_info_of(fd).tcpi_state); }

std::optional<Ending> unix_ending(int fd) {
  int family = 0;
  socklen_t size = sizeof family;
  if (getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &family, &size) != 0 || family != AF_UNIX) return std::nullopt;
  pollfd poll_for{.fd = fd, .events = POLLRDHUP, .revents = 0};
  const bool peer_ended = poll(&poll_for, 1, 0) == 1 && (poll_for.revents & (POLLRDHUP | POLLHUP)) != 0;
  return Ending{peer_ended ? ClosedBy::peer : ClosedBy::local, false};
}

Ending end_sending_side(int fd) {
  const TcpState before = tcp_state(fd);
  if (before == TcpState::NONE) {
    const std::optional<Ending> first = unix_ending(fd);
    if (shutdown(fd, SHUT_WR) != 0 || !first) return {};
    const bool peer_ended_since = first->by == ClosedBy::local && unix_ending(fd)->by == ClosedBy::peer;
    return {first->by, peer_ended_since};
  }
  if (shutdown(fd, SHUT_WR) != 0) return {};
  if (before == TcpState::CLOSE_WAIT) return {ClosedBy::peer, false};
  if (before != TcpState::ESTABLISHED) return {};
  const TcpState after = tcp_state(fd);
  if (after == TcpState::LAST_ACK) return {ClosedBy::peer, false};
  return {ClosedBy::local, after == TcpState::CLOSE};  // an end that answered ours, or crossed it
}

Ending close_socket(int fd) {
  const TcpState before = tcp_state(fd);
  if (before == TcpState::NONE) {
    const Ending ending = unix_ending(fd).value_or(Ending{});
    shutdown(fd, SHUT_RDWR);  // the peer must see the end, even if a duplicate of the descriptor is left
    close(fd);
    return ending;
  }
  TcpState after = before;
  sockaddr_storage local{};
  sockaddr_storage remote{};
  socklen_t local_size = sizeof local;
  socklen_t remote_size = sizeof remote;
  const bool named = getsockname(fd, reinterpret_cast<sockaddr*>(&local), &local_size) == 0 &&
                     getpeername(fd, reinterpret_cast<sockaddr*>(&remote), &remote_size) == 0;
  bool fin_sent = false;
  if (before == TcpState::ESTABLISHED || before == TcpState::CLOSE_WAIT) {
    fin_sent = shutdown(fd, SHUT_WR) == 0;  // ENOTCONN: reset meanwhile
    after = tcp_state(fd);
  }
  // Of itself the kernel ends a connection only when it has sent something in vain.
  const tcp_info info = tcp_info_of(fd);
  const bool gave_up = info.tcpi_retransmits != 0 || info.tcpi_probes != 0;
  int error_number = 0;
  socklen_t size = sizeof error_number;
  if (after == TcpState::CLOSE) getsockopt(fd, SOL_SOCKET, SO_ERROR, &error_number, &size);
  close(fd);
  const bool reset = error_number == ECONNRESET || error_number == EPIPE;  // EPIPE: after its FIN
  if (before == TcpState::CLOSE_WAIT || after == TcpState::LAST_ACK) return {ClosedBy::peer, false};
  if (after != TcpState::CLOSE) {
    const bool fin_first = after == TcpState::FIN_WAIT1 || after == TcpState::FIN_WAIT2 || after == TcpState::CLOSING;
    return fin_first ? Ending{ClosedBy::local, false} : Ending{};
  }
  if (!fin_sent) {
    if (reset) return {ClosedBy::peer, false};
    return error_number == 0 && !gave_up ? Ending{ClosedBy::peer, true} : Ending{};
  }
  // Our FIN was sent on an open connection; the reset came after it, and may have been on its way before.
  if (reset) return {ClosedBy::local, true};
  if (error_number != 0 || !named) return {};
  const std::optional<bool> time_wait = in_time_wait(local, remote);
  if (!time_wait) return {};
  return *time_wait ? Ending{ClosedBy::local, false} : Ending{ClosedBy::peer, true};
}

}  // namespace conntrace::transport
