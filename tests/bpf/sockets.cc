// SPDX-License-Identifier: Apache-2.0
#include "sockets.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <net/if.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstring>
#include <fstream>
#include <iterator>
#include <memory>
#include <stdexcept>
#include <system_error>

namespace conntrace::bpftest {
namespace {

int check(int result, const char* what) {
  if (result < 0) throw std::system_error(errno, std::system_category(), what);
  return result;
}

template <class Value>
Value option(const UniqueFd& socket, int level, int name) {
  Value value{};
  socklen_t size = sizeof value;
  check(getsockopt(socket.get(), level, name, &value, &size), "getsockopt");
  return value;
}

std::string text_of(const sockaddr_storage& address) {
  char text[INET6_ADDRSTRLEN];
  if (address.ss_family == AF_INET) {
    const auto& four = reinterpret_cast<const sockaddr_in&>(address);
    inet_ntop(AF_INET, &four.sin_addr, text, sizeof text);
    return std::string(text) + ":" + std::to_string(ntohs(four.sin_port));
  }
  const auto& six = reinterpret_cast<const sockaddr_in6&>(address);
  const std::string port = ":" + std::to_string(ntohs(six.sin6_port));
  inet_ntop(AF_INET6, &six.sin6_addr, text, sizeof text);
  const std::string plain = text;
  if (plain.rfind("::ffff:", 0) == 0) return plain.substr(7) + port;
  return "[" + plain + "]" + port;
}

std::uint16_t port_of(const UniqueFd& socket) {
  sockaddr_storage address{};
  socklen_t size = sizeof address;
  check(getsockname(socket.get(), reinterpret_cast<sockaddr*>(&address), &size), "getsockname");
  return reinterpret_cast<const sockaddr_in&>(address).sin_port;  // at the same place in sockaddr_in6
}

sockaddr_storage loopback(int family, std::uint16_t port) {
  sockaddr_storage address{};
  address.ss_family = static_cast<sa_family_t>(family);
  if (family == AF_INET) {
    auto& four = reinterpret_cast<sockaddr_in&>(address);
    four.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    four.sin_port = port;
  } else {
    auto& six = reinterpret_cast<sockaddr_in6&>(address);
    six.sin6_addr = in6addr_loopback;
    six.sin6_port = port;
  }
  return address;
}

}  // namespace

std::uint64_t cookie_of(const UniqueFd& socket) { return option<std::uint64_t>(socket, SOL_SOCKET, SO_COOKIE); }

std::string local_of(const UniqueFd& socket) {
  sockaddr_storage address{};
  socklen_t size = sizeof address;
  check(getsockname(socket.get(), reinterpret_cast<sockaddr*>(&address), &size), "getsockname");
  return text_of(address);
}

std::string remote_of(const UniqueFd& socket) {
  sockaddr_storage address{};
  socklen_t size = sizeof address;
  check(getpeername(socket.get(), reinterpret_cast<sockaddr*>(&address), &size), "getpeername");
  return text_of(address);
}

tcp_info tcp_info_of(const UniqueFd& socket) { return option<tcp_info>(socket, IPPROTO_TCP, TCP_INFO); }

std::uint64_t netns_of_thread() {
  struct stat status {};
  check(stat("/proc/thread-self/ns/net", &status), "/proc/thread-self/ns/net");
  return status.st_ino;
}

std::uint64_t start_time_of_self() {
  std::ifstream file("/proc/self/stat");
  const std::string stat{std::istreambuf_iterator<char>(file), {}};
  std::size_t at = stat.rfind(')') + 2;
  for (int field = 3; field < 22; ++field) at = stat.find(' ', at) + 1;
  return std::stoull(stat.substr(at)) * (1'000'000'000u / static_cast<std::uint64_t>(sysconf(_SC_CLK_TCK)));
}

std::string comm_of_thread() {
  char name[16] = {};
  check(prctl(PR_GET_NAME, name), "prctl");
  return name;
}

std::uint64_t descriptors_in_proc(pid_t pid) {
  const std::unique_ptr<DIR, int (*)(DIR*)> directory(opendir(("/proc/" + std::to_string(pid) + "/fd").c_str()),
                                                      closedir);
  if (!directory) throw std::system_error(errno, std::system_category(), "opendir");
  std::uint64_t count = 0;
  while (const dirent* entry = readdir(directory.get())) count += entry->d_name[0] != '.' ? 1 : 0;
  return pid == getpid() ? count - 1 : count;
}

UniqueFd tcp_socket(int family) { return UniqueFd(check(socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0), "socket")); }

UniqueFd tcp_listener(int family, int backlog) {
  UniqueFd listener = tcp_socket(family);
  sockaddr_storage address{};
  address.ss_family = static_cast<sa_family_t>(family);
  check(bind(listener.get(), reinterpret_cast<sockaddr*>(&address), sizeof address), "bind");
  check(listen(listener.get(), backlog), "listen");
  return listener;
}

void connect_to(const UniqueFd& socket, const UniqueFd& listener, int family) {
  const sockaddr_storage address = loopback(family, port_of(listener));
  check(connect(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address), "connect");
}

UniqueFd accept_from(const UniqueFd& listener) {
  return UniqueFd(check(accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC), "accept"));
}

void abort_on_close(const UniqueFd& socket) {
  const linger now{1, 0};
  check(setsockopt(socket.get(), SOL_SOCKET, SO_LINGER, &now, sizeof now), "SO_LINGER");
}

void send_text(const UniqueFd& socket, const std::string& text) {
  const ssize_t sent = send(socket.get(), text.data(), text.size(), MSG_NOSIGNAL);
  if (sent != static_cast<ssize_t>(text.size())) throw std::system_error(errno, std::system_category(), "send");
}

std::string receive(const UniqueFd& socket) {
  std::string text(65536, '\0');
  text.resize(
      static_cast<std::size_t>(check(static_cast<int>(recv(socket.get(), text.data(), text.size(), 0)), "recv")));
  return text;
}

void wait_for_state(const UniqueFd& socket, TcpState state) {
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(20);
  while (tcp_info_of(socket).tcpi_state != static_cast<std::uint8_t>(state)) {
    if (std::chrono::steady_clock::now() > deadline) throw std::runtime_error("TCP state did not come");
    sched_yield();
  }
}

Pair connected_pair(const UniqueFd& listener) {
  Pair pair;
  pair.client = tcp_socket();
  connect_to(pair.client, listener);
  pair.server = accept_from(listener);
  return pair;
}

void enter_new_netns() {
  check(unshare(CLONE_NEWNET), "unshare");
  const UniqueFd any(check(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), "socket"));
  ifreq request{};
  std::strcpy(request.ifr_name, "lo");
  request.ifr_flags = IFF_UP | IFF_RUNNING;
  check(ioctl(any.get(), SIOCSIFFLAGS, &request), "SIOCSIFFLAGS");
}

}  // namespace conntrace::bpftest
