// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "conntrace/request.h"

namespace conntrace::http {

/// What a request asks for beyond a response: that its connection becomes a stream of bytes both ways.
enum class Tunnel {
  none,
  connect,  ///< CONNECT, granted by any 2xx (RFC 9110 section 9.3.6)
  upgrade,  ///< GET with Connection: upgrade and Upgrade, granted by 101 (RFC 9110 section 7.8)
};

[[nodiscard]] Tunnel asked_tunnel(const Request& request);
[[nodiscard]] bool grants(Tunnel asked, int status);

}  // namespace conntrace::http
