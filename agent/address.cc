// SPDX-License-Identifier: Apache-2.0
#include "agent/address.h"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <cstring>

namespace conntrace::agent {

std::string address_of(const conntrace_endpoint& endpoint) {
  in6_addr six{};
  std::memcpy(&six, endpoint.address, sizeof six);
  const bool mapped = endpoint.family == AF_INET6 && IN6_IS_ADDR_V4MAPPED(&six);
  char text[INET6_ADDRSTRLEN] = {};
  if (endpoint.family == AF_INET || mapped) {
    inet_ntop(AF_INET, endpoint.address + (mapped ? 12 : 0), text, sizeof text);
  } else if (endpoint.family == AF_INET6) {
    inet_ntop(AF_INET6, &six, text, sizeof text);
  }
  return text;
}

std::string to_string(const conntrace_endpoint& endpoint) {
  std::string address = address_of(endpoint);
  if (address.empty()) return address;
  const bool six = address.find(':') != std::string::npos;
  return fmt::format("{}{}{}:{}", six ? "[" : "", address, six ? "]" : "", endpoint.port);
}

}  // namespace conntrace::agent
