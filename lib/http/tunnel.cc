// SPDX-License-Identifier: Apache-2.0
#include "http/tunnel.h"

#include <algorithm>

#include "http/syntax.h"

namespace conntrace::http {

Tunnel asked_tunnel(const Request& request) {
  if (request.method == "CONNECT") return Tunnel::connect;
  if (request.method != "GET" || find_header(request.headers, "upgrade") == nullptr) return Tunnel::none;
  const bool upgrade = std::any_of(request.headers.begin(), request.headers.end(), [](const auto& field) {
    return iequals(field.first, "connection") && lists(field.second, "upgrade");
  });
  return upgrade ? Tunnel::upgrade : Tunnel::none;
}

bool grants(Tunnel asked, int status) {
  switch (asked) {
    case Tunnel::none: return false;
    case Tunnel::connect: return status / 100 == 2;
    case Tunnel::upgrade: return status == 101;
  }
  return false;
}

}  // namespace conntrace::http
