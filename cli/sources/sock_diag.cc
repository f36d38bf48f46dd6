// SPDX-License-Identifier: Apache-2.0
#include "sources/sock_diag.h"

#include <arpa/inet.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <linux/sock_diag.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/time.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstddef>
#include <cstring>

#include "conntrace/unique_fd.h"

namespace conntrace::cli {
namespace {

constexpr std::uint32_t bit(TcpState state) { return 1U << static_cast<unsigned>(state); }
constexpr std::uint32_t kAllStates = (1U << 13) - 2;
constexpr std::uint32_t kWantedStates = kAllStates & ~bit(TcpState::LISTEN) & ~bit(TcpState::TIME_WAIT) &
                                        ~bit(TcpState::SYN_RECV) & ~bit(TcpState::NEW_SYN_RECV);
constexpr timeval kTimeout{.tv_sec = 2, .tv_usec = 0};

std::string endpoint(int family, const void* address, std::uint16_t port) {
  std::array<char, INET6_ADDRSTRLEN> text{};
  ::inet_ntop(family, address, text.data(), text.size());
  const std::string host(text.data());
  return (family == AF_INET6 ? "[" + host + "]" : host) + ":" + std::to_string(ntohs(port));
}

DiagSocket decode(const nlmsghdr& header) {
  const auto* message = static_cast<const inet_diag_msg*>(NLMSG_DATA(&header));
  DiagSocket socket;
  socket.cookie = std::uint64_t{message->id.idiag_cookie[1]} << 32 | message->id.idiag_cookie[0];
  socket.inode = message->idiag_inode;
  socket.state = static_cast<TcpState>(message->idiag_state);
  socket.uid = message->idiag_uid;
  socket.local = endpoint(message->idiag_family, message->id.idiag_src, message->id.idiag_sport);
  socket.remote = endpoint(message->idiag_family, message->id.idiag_dst, message->id.idiag_dport);

  auto left = static_cast<int>(header.nlmsg_len - NLMSG_LENGTH(sizeof(*message)));
  for (const auto* attribute = reinterpret_cast<const rtattr*>(message + 1); RTA_OK(attribute, left);
       attribute = RTA_NEXT(attribute, left)) {
    if (attribute->rta_type != INET_DIAG_INFO) continue;
    tcp_info info{};
    std::memcpy(&info, RTA_DATA(attribute), std::min<std::size_t>(RTA_PAYLOAD(attribute), sizeof(info)));
    socket.has_info =
        RTA_PAYLOAD(attribute) >= offsetof(tcp_info, tcpi_bytes_retrans) + sizeof(info.tcpi_bytes_retrans);
    socket.bytes_sent = info.tcpi_bytes_sent - info.tcpi_bytes_retrans;
    socket.bytes_received = info.tcpi_bytes_received;
    socket.retransmits = info.tcpi_total_retrans;
    socket.srtt_us = info.tcpi_rtt;
  }
  return socket;
}

Result<void> dump(int fd, std::uint8_t family, std::vector<DiagSocket>& out) {
  struct {
    nlmsghdr header;
    inet_diag_req_v2 request;
  } message{};
  message.header.nlmsg_len = sizeof(message);
  message.header.nlmsg_type = SOCK_DIAG_BY_FAMILY;
  message.header.nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
  message.request.sdiag_family = family;
  message.request.sdiag_protocol = IPPROTO_TCP;
  message.request.idiag_states = kWantedStates;
  message.request.idiag_ext = 1 << (INET_DIAG_INFO - 1);
  const auto failed = [](int error_number) { return Failure(system_error(error_number, "sock_diag")); };
  if (::send(fd, &message, sizeof(message), 0) < 0) return failed(errno);

  alignas(nlmsghdr) static thread_local std::array<char, 64 * 1024> buffer;
  for (;;) {
    const ssize_t got = ::recv(fd, buffer.data(), buffer.size(), 0);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return failed(got == 0 ? EIO : errno);
    auto left = static_cast<unsigned>(got);
    for (const auto* header = reinterpret_cast<const nlmsghdr*>(buffer.data()); NLMSG_OK(header, left);
         header = NLMSG_NEXT(header, left)) {
      if (header->nlmsg_type == NLMSG_DONE) return {};
      if (header->nlmsg_type == NLMSG_ERROR) {
        return failed(-static_cast<const nlmsgerr*>(NLMSG_DATA(header))->error);
      }
      if (header->nlmsg_type == SOCK_DIAG_BY_FAMILY) out.push_back(decode(*header));
    }
  }
}

}  // namespace

Result<std::vector<DiagSocket>> dump_tcp_sockets() {
  const UniqueFd fd(::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG));
  if (!fd.valid()) return Failure(system_error(errno, "sock_diag"));
  ::setsockopt(fd.get(), SOL_SOCKET, SO_RCVTIMEO, &kTimeout, sizeof(kTimeout));
  std::vector<DiagSocket> sockets;
  for (const std::uint8_t family : {AF_INET, AF_INET6}) {
    if (auto done = dump(fd.get(), family, sockets); !done) return Failure(std::move(done.error()));
  }
  return sockets;
}

}  // namespace conntrace::cli
