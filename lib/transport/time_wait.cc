// SPDX-License-Identifier: Apache-2.0
#include "transport/time_wait.h"

#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <netinet/tcp.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <cstdint>
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

struct Question {
  nlmsghdr head;
  inet_diag_req_v2 body;
};

Question question(int family, std::uint16_t flags) {
  Question asked{};
  asked.head = {sizeof asked, SOCK_DIAG_BY_FAMILY, static_cast<__u16>(NLM_F_REQUEST | flags), 1, 0};
  asked.body.sdiag_family = static_cast<__u8>(family);
  asked.body.sdiag_protocol = IPPROTO_TCP;
  return asked;
}

class Answer {
 public:
  explicit Answer(const Question& asked) {
    const UniqueFd netlink(::socket(AF_NETLINK, SOCK_DGRAM | SOCK_CLOEXEC, NETLINK_SOCK_DIAG));
    if (!netlink.valid() || ::send(netlink.get(), &asked, sizeof asked, 0) < 0) return;
    size_ = ::recv(netlink.get(), bytes_.data(), bytes_.size(), MSG_DONTWAIT);  // it is there already
  }
  /// nullptr: none came.
  [[nodiscard]] const nlmsghdr* head() const {
    const auto* head = reinterpret_cast<const nlmsghdr*>(bytes_.data());
    return size_ >= 0 && NLMSG_OK(head, static_cast<std::size_t>(size_)) ? head : nullptr;
  }
  /// What begins the message.
  template <class T>
  [[nodiscard]] T payload() const {
    T value{};
    std::memcpy(&value, NLMSG_DATA(head()), sizeof value);
    return value;
  }

 private:
  alignas(nlmsghdr) std::array<char, 4096> bytes_{};
  ssize_t size_ = -1;
};

/// ENOENT says that there is no such socket, or that this kernel has no sock_diag for TCP. Asked for all sockets of no
/// state the latter says ENOENT, too, and the former nothing.
bool knows_tcp() {
  enum class Known { not_asked, yes, no };
  static std::atomic<Known> known = Known::not_asked;
  if (known == Known::not_asked) {
    const Answer answer(question(AF_INET, NLM_F_DUMP));
    if (answer.head() == nullptr) return false;  // no descriptor: another time
    known = answer.head()->nlmsg_type == NLMSG_DONE && answer.payload<int>() == 0 ? Known::yes : Known::no;
  }
  return known == Known::yes;
}

}  // namespace

std::optional<bool> in_time_wait(const sockaddr_storage& local, const sockaddr_storage& remote) {
  Question asked = question(local.ss_family, 0);
  asked.body.idiag_states = ~0u;
  put(local, asked.body.id.idiag_sport, asked.body.id.idiag_src);
  put(remote, asked.body.id.idiag_dport, asked.body.id.idiag_dst);
  asked.body.id.idiag_cookie[0] = asked.body.id.idiag_cookie[1] = INET_DIAG_NOCOOKIE;
  const Answer answer(asked);
  if (answer.head() == nullptr) return std::nullopt;
  if (answer.head()->nlmsg_type == NLMSG_ERROR) {
    const bool none = answer.payload<nlmsgerr>().error == -ENOENT;
    return none && knows_tcp() ? std::optional(false) : std::nullopt;
  }
  const auto state = answer.payload<inet_diag_msg>().idiag_state;
  return state == TCP_TIME_WAIT || state == TCP_FIN_WAIT2;
}

}  // namespace conntrace::transport
