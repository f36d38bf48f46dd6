// SPDX-License-Identifier: Apache-2.0
#include "transport/time_wait.h"

#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <netinet/tcp.h>

#include <array>
#include <cerrno>
#include <cstring>

#include "conntrace/unique_fd.h"

namespace conntrace::transport {
namespace {

void put(const sockaddr_storage& address, __be16& port, __be32 (&ip)[4]) {
  if (address.ss_family == AF_INET) {
    sockaddr_in v4{};
    std::memcpy(&v4, &address, sizeof v4);
    port = v4.sin_port;
    ip[0] = v4.sin_addr.s_addr;
  } else {
    sockaddr_in6 v6{};
    std::memcpy(&v6, &address, sizeof v6);
    port = v6.sin6_port;
    std::memcpy(ip, &v6.sin6_addr, sizeof ip);
  }
}

}  // namespace

std::optional<bool> in_time_wait(const sockaddr_storage& local, const sockaddr_storage& remote) {
  struct {
    nlmsghdr head;
    inet_diag_req_v2 body;
  } request{};
  request.head = {sizeof request, SOCK_DIAG_BY_FAMILY, NLM_F_REQUEST, 1, 0};
  request.body.sdiag_family = static_cast<__u8>(local.ss_family);
  request.body.sdiag_protocol = IPPROTO_TCP;
  request.body.idiag_states = ~0u;
  put(local, request.body.id.idiag_sport, request.body.id.idiag_src);
  put(remote, request.body.id.idiag_dport, request.body.id.idiag_dst);
  request.body.id.idiag_cookie[0] = request.body.id.idiag_cookie[1] = INET_DIAG_NOCOOKIE;

  const UniqueFd netlink(::socket(AF_NETLINK, SOCK_DGRAM | SOCK_CLOEXEC, NETLINK_SOCK_DIAG));
  alignas(nlmsghdr) std::array<char, 4096> answer{};
  if (!netlink.valid() || ::send(netlink.get(), &request, sizeof request, 0) < 0) return std::nullopt;
  const ssize_t got = ::recv(netlink.get(), answer.data(), answer.size(), MSG_DONTWAIT);  // it is there already
  const auto* head = reinterpret_cast<const nlmsghdr*>(answer.data());
  if (got < 0 || !NLMSG_OK(head, static_cast<std::size_t>(got))) return std::nullopt;
  if (head->nlmsg_type == NLMSG_ERROR) {
    nlmsgerr error{};
    std::memcpy(&error, NLMSG_DATA(head), sizeof error);
    return error.error == -ENOENT ? std::optional(false) : std::nullopt;
  }
  inet_diag_msg socket{};
  std::memcpy(&socket, NLMSG_DATA(head), sizeof socket);
  return socket.idiag_state == TCP_TIME_WAIT || socket.idiag_state == TCP_FIN_WAIT2;
}

}  // namespace conntrace::transport
