// SPDX-License-Identifier: Apache-2.0
#include "dns_server.h"

#include <arpa/inet.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <cerrno>
#include <system_error>
#include <vector>

namespace conntrace::bpftest {
namespace {

using Bytes = std::vector<unsigned char>;

/// Answers a message with one question; empty if it has none that is whole.
Bytes answer_to(const unsigned char* message, std::size_t length) {
  std::size_t end = 12;
  while (end < length && message[end] != 0) end += message[end] + 1u;
  end += 5;  // the root, type and class
  if (end > length) return {};
  const bool exists = !(message[13] == 'n' && message[14] == 'x');
  const unsigned type = static_cast<unsigned>(message[end - 4]) << 8 | message[end - 3];
  const Bytes address =
      type == 28 ? Bytes{0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 7} : Bytes{192, 0, 2, 7};
  Bytes answer(message, message + end);
  answer[2] = 0x81;                  // a response, recursion desired
  answer[3] = exists ? 0x80 : 0x83;  // recursion available; NXDOMAIN
  answer[7] = exists ? 1 : 0;        // answers
  answer[8] = answer[9] = answer[10] = answer[11] = 0;
  if (!exists) return answer;
  const Bytes record = {
      0xc0, 12, message[end - 4], message[end - 3], 0, 1, 0, 0, 0, 60, 0, static_cast<unsigned char>(address.size())};
  answer.insert(answer.end(), record.begin(), record.end());
  answer.insert(answer.end(), address.begin(), address.end());
  return answer;
}

void serve_udp(int socket) {
  unsigned char message[4096];
  sockaddr_storage from{};
  socklen_t size = sizeof from;
  const ssize_t length = recvfrom(socket, message, sizeof message, 0, reinterpret_cast<sockaddr*>(&from), &size);
  if (length < 12) return;
  const Bytes answer = answer_to(message, static_cast<std::size_t>(length));
  if (!answer.empty()) sendto(socket, answer.data(), answer.size(), 0, reinterpret_cast<sockaddr*>(&from), size);
}

void serve_tcp(int listener) {
  const UniqueFd connection(accept4(listener, nullptr, nullptr, SOCK_CLOEXEC));
  unsigned char message[4096];
  const ssize_t length = recv(connection.get(), message, sizeof message, 0);
  if (length < 14) return;
  Bytes answer = answer_to(message + 2, static_cast<std::size_t>(length) - 2);
  const Bytes prefix = {static_cast<unsigned char>(answer.size() >> 8), static_cast<unsigned char>(answer.size())};
  answer.insert(answer.begin(), prefix.begin(), prefix.end());
  send(connection.get(), answer.data(), answer.size(), MSG_NOSIGNAL);
}

UniqueFd bound(int type, const sockaddr_in& address) {
  UniqueFd socket(::socket(AF_INET, type | SOCK_CLOEXEC, 0));
  const int on = 1;
  setsockopt(socket.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  if (bind(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0 ||
      (type == SOCK_STREAM && listen(socket.get(), 16) != 0)) {
    throw std::system_error(errno, std::system_category(), "a DNS server on 127.0.53.53");
  }
  return socket;
}

}  // namespace

DnsServer::DnsServer() : stop_(eventfd(0, EFD_CLOEXEC)) {
  address_.sin_family = AF_INET;
  address_.sin_addr.s_addr = htonl(0x7f003535);
  address_.sin_port = htons(53);
  udp_ = bound(SOCK_DGRAM, address_);
  tcp_ = bound(SOCK_STREAM, address_);
  thread_ = std::thread([this] { serve(); });
}

DnsServer::~DnsServer() {
  eventfd_write(stop_.get(), 1);
  thread_.join();
}

std::string DnsServer::name() const { return "127.0.53.53:53"; }

void DnsServer::serve() {
  pollfd ready[] = {{stop_.get(), POLLIN, 0}, {udp_.get(), POLLIN, 0}, {tcp_.get(), POLLIN, 0}};
  while (poll(ready, 3, -1) > 0 && ready[0].revents == 0) {
    if (ready[1].revents != 0) serve_udp(udp_.get());
    if (ready[2].revents != 0) serve_tcp(tcp_.get());
  }
}

}  // namespace conntrace::bpftest
