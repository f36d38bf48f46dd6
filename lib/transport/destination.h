// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "conntrace/proxy.h"
#include "http/target.h"
#include "pool/pool_core.h"

namespace conntrace::transport {

/// Where a URL leads, through which proxy, and what the pool calls it by.
struct Destination : http::Target {
  pool::Key key;
  std::optional<ProxyUrl> proxy;
  std::string request_target;       ///< what the request line says: origin-form, or absolute-form for a proxy
  std::string proxy_authorization;  ///< value of the field to send with each request; empty: none

  // The first hop, which is resolved and connected to: the proxy or the target itself.
  std::string hop_host;
  std::string hop;  ///< host:port, IPv6 in brackets
  std::uint16_t hop_port = 0;
  bool hop_is_address = false;

  /// Requests are sent to the proxy in absolute-form: connections serve all targets.
  [[nodiscard]] bool forwarded() const { return proxy && !proxy->is_socks() && scheme == "http"; }
  /// TLS comes first on the connection, before all of HTTP and CONNECT.
  [[nodiscard]] bool hop_is_tls() const { return proxy ? proxy->is_tls() : scheme == "https"; }
  /// The proxy makes a tunnel, whose other end is the target.
  [[nodiscard]] bool tunnelled() const { return proxy && !forwarded(); }
};

/// Source: Go's connectMethod (key, addr, scheme).
[[nodiscard]] Destination make_destination(http::Target target, std::optional<ProxyUrl> proxy);

}  // namespace conntrace::transport
