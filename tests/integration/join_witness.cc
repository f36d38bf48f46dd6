// SPDX-License-Identifier: Apache-2.0
#include "join_witness.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <cstdlib>
#include <cstring>

#include "conntrace/unique_fd.h"

namespace conntrace::test {
namespace {

std::uint16_t port_of(const sockaddr_storage& address) {
  return ntohs(reinterpret_cast<const sockaddr_in&>(address).sin_port);
}

Ports ports_of(int fd) {
  sockaddr_storage local{};
  sockaddr_storage remote{};
  socklen_t local_length = sizeof(local);
  socklen_t remote_length = sizeof(remote);
  if (::getsockname(fd, reinterpret_cast<sockaddr*>(&local), &local_length) != 0 ||
      ::getpeername(fd, reinterpret_cast<sockaddr*>(&remote), &remote_length) != 0) {
    return {};
  }
  return {port_of(local), port_of(remote)};
}

}  // namespace

std::uint16_t port_of(const std::string& address) {
  const std::size_t colon = address.rfind(':');
  return colon == std::string::npos ? 0 : static_cast<std::uint16_t>(std::atoi(address.c_str() + colon + 1));
}

std::shared_ptr<const ClientTrace> SocketWitness::trace() {
  auto trace = std::make_shared<ClientTrace>();
  trace->connect_start = [this](const HookContext& context, const ConnectStartInfo& info) {
    Socket socket;
    socklen_t length = sizeof(socket.cookie);
    EXPECT_EQ(::getsockopt(info.fd, SOL_SOCKET, SO_COOKIE, &socket.cookie, &length), 0) << std::strerror(errno);
    const std::lock_guard lock(mutex_);
    EXPECT_TRUE(sockets_.emplace(context.connection, socket).second) << "a second socket of " << context.connection;
    descriptors_[context.connection] = info.fd;
  };
  trace->connect_done = [this](const HookContext& context, const ConnectDoneInfo& info) {
    const std::lock_guard lock(mutex_);
    if (info.error.empty()) sockets_[context.connection].ports = ports_of(descriptors_[context.connection]);
  };
  trace->conn_closed = [this](const HookContext&, const ConnClosedInfo&) {
    const std::lock_guard lock(mutex_);
    ++closes_;
  };
  return trace;
}

std::map<ConnectionId, SocketWitness::Socket> SocketWitness::sockets() const {
  const std::lock_guard lock(mutex_);
  return sockets_;
}

std::uint64_t SocketWitness::closes() const {
  const std::lock_guard lock(mutex_);
  return closes_;
}

std::map<Ports, std::uint64_t> sock_diag_cookies() {
  const UniqueFd netlink(::socket(AF_NETLINK, SOCK_DGRAM | SOCK_CLOEXEC, NETLINK_SOCK_DIAG));
  struct {
    nlmsghdr head;
    inet_diag_req_v2 body;
  } request{};
  request.head = {sizeof(request), SOCK_DIAG_BY_FAMILY, NLM_F_REQUEST | NLM_F_DUMP, 1, 0};
  request.body.sdiag_family = AF_INET;
  request.body.sdiag_protocol = IPPROTO_TCP;
  // Not those in TIME_WAIT: an earlier process may have used the same ports.
  request.body.idiag_states = 1u << TCP_ESTABLISHED | 1u << TCP_CLOSE_WAIT;
  std::map<Ports, std::uint64_t> found;
  if (::send(netlink.get(), &request, sizeof(request), 0) < 0) {
    ADD_FAILURE() << "sock_diag: " << std::strerror(errno);
    return found;
  }
  alignas(nlmsghdr) std::array<char, 32768> buffer;
  for (;;) {
    const ssize_t got = ::recv(netlink.get(), buffer.data(), buffer.size(), 0);
    if (got < 0 && errno == EINTR) continue;
    auto left = static_cast<int>(got);
    if (left <= 0) break;
    for (const auto* head = reinterpret_cast<const nlmsghdr*>(buffer.data()); NLMSG_OK(head, left);
         head = NLMSG_NEXT(head, left)) {
      if (head->nlmsg_type == NLMSG_DONE) return found;
      if (head->nlmsg_type == NLMSG_ERROR) {
        ADD_FAILURE() << "sock_diag answers with an error";
        return found;
      }
      const auto* socket = static_cast<const inet_diag_msg*>(NLMSG_DATA(head));
      const Ports ports{ntohs(socket->id.idiag_sport), ntohs(socket->id.idiag_dport)};
      const std::uint64_t high = socket->id.idiag_cookie[1];
      if (ports.remote != 0) found[ports] = high << 32 | socket->id.idiag_cookie[0];
    }
  }
  ADD_FAILURE() << "sock_diag: the dump does not end";
  return found;
}

void MemorySink::write(std::string_view lines, std::uint64_t records) {
  const std::lock_guard lock(mutex_);
  text_ += lines;
  records_ += records;
}

std::string MemorySink::text() const {
  const std::lock_guard lock(mutex_);
  return text_;
}

std::uint64_t MemorySink::records() const {
  const std::lock_guard lock(mutex_);
  return records_;
}

}  // namespace conntrace::test
