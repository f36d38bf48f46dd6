// SPDX-License-Identifier: Apache-2.0
#include "transport/local_ports.h"

#include <arpa/inet.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <cstdlib>
#include <cstring>
#include <fstream>
#include <vector>

#include "conntrace/unique_fd.h"

namespace conntrace::transport {
namespace {

struct Remote {
  std::uint8_t family = AF_UNSPEC;
  in6_addr ip{};           ///< an IPv4 address in its first four bytes
  std::uint16_t port = 0;  ///< network order
};

std::optional<Remote> parse_remote(const std::string& ip_port) {
  const std::size_t colon = ip_port.rfind(':');
  if (colon == std::string::npos) return std::nullopt;
  std::string ip = ip_port.substr(0, colon);
  Remote remote;
  remote.port = htons(static_cast<std::uint16_t>(std::strtoul(ip_port.c_str() + colon + 1, nullptr, 10)));
  if (ip.size() > 2 && ip.front() == '[') ip = ip.substr(1, ip.size() - 2);
  if (inet_pton(AF_INET, ip.c_str(), &remote.ip) == 1) {
    remote.family = AF_INET;
  } else if (inet_pton(AF_INET6, ip.c_str(), &remote.ip) == 1) {
    remote.family = AF_INET6;
  } else {
    return std::nullopt;
  }
  return remote;
}

std::optional<std::uint64_t> ports_in_range() {
  std::ifstream file("/proc/sys/net/ipv4/ip_local_port_range");
  std::uint64_t low = 0;
  std::uint64_t high = 0;
  if (!(file >> low >> high) || high < low) return std::nullopt;
  return high - low + 1;
}

enum class Part { more, last, error };

/// Counts the sockets of one part of the answer.
Part count(const std::vector<char>& answer, std::size_t size, const Remote& remote, std::uint64_t& sockets) {
  const auto* head = reinterpret_cast<const nlmsghdr*>(answer.data());
  auto left = static_cast<unsigned>(size);
  for (; NLMSG_OK(head, left); head = NLMSG_NEXT(head, left)) {
    if (head->nlmsg_type == NLMSG_DONE) return Part::last;
    if (head->nlmsg_type == NLMSG_ERROR) return Part::error;
    inet_diag_msg socket{};
    std::memcpy(&socket, NLMSG_DATA(head), sizeof socket);
    const std::size_t bytes = remote.family == AF_INET ? sizeof(in_addr) : sizeof(in6_addr);
    const bool same = socket.id.idiag_dport == remote.port && std::memcmp(socket.id.idiag_dst, &remote.ip, bytes) == 0;
    if (same) ++sockets;
  }
  return Part::more;
}

}  // namespace

std::optional<PortUse> port_use(const std::string& ip_port) {
  const std::optional<Remote> remote = parse_remote(ip_port);
  const std::optional<std::uint64_t> range = ports_in_range();
  if (!remote || !range) return std::nullopt;
  struct {
    nlmsghdr head;
    inet_diag_req_v2 body;
  } request{};
  request.head = {sizeof request, SOCK_DIAG_BY_FAMILY, NLM_F_REQUEST | NLM_F_DUMP, 1, 0};
  request.body.sdiag_family = remote->family;
  request.body.sdiag_protocol = IPPROTO_TCP;
  request.body.idiag_states = ~(1u << TCP_LISTEN);
  request.body.id.idiag_dport = remote->port;  // the kernel leaves out the rest

  const UniqueFd netlink(::socket(AF_NETLINK, SOCK_DGRAM | SOCK_CLOEXEC, NETLINK_SOCK_DIAG));
  if (!netlink.valid() || ::send(netlink.get(), &request, sizeof request, 0) < 0) return std::nullopt;
  PortUse use{.local_ports = *range};
  std::vector<char> answer(32 * 1024);
  for (;;) {
    const ssize_t got =
        ::recv(netlink.get(), answer.data(), answer.size(), MSG_DONTWAIT);  // each part is there already
    if (got <= 0) return std::nullopt;
    switch (count(answer, static_cast<std::size_t>(got), *remote, use.sockets)) {
      case Part::more: break;
      case Part::last: return use;
      case Part::error: return std::nullopt;
    }
  }
}

}  // namespace conntrace::transport
