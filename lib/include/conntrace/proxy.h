// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "conntrace/error.h"
#include "conntrace/request.h"

namespace conntrace {

/// A proxy, taken apart. A value.
///
/// http and https proxies get requests for http:// targets in absolute-form (RFC 9112 section 3.2.2) and make tunnels
/// with CONNECT for https:// targets (RFC 9110 section 9.3.6). SOCKS5 proxies (RFC 1928) make a tunnel for both and
/// resolve the target's name themselves: socks5 and socks5h mean the same, as in Go.
struct ProxyUrl {
  std::string scheme;  ///< http, https, socks5 or socks5h
  std::string host;    ///< lower case; IPv6 without brackets
  std::uint16_t port = 0;
  bool is_address = false;          ///< the host is an IP address: nothing to resolve
  std::string host_port;            ///< IPv6 in brackets
  std::optional<std::string> user;  ///< decoded; nothing: no credentials are sent
  std::string password;

  [[nodiscard]] bool is_socks() const { return scheme.starts_with("socks5"); }
  [[nodiscard]] bool is_tls() const { return scheme == "https"; }
  /// The URL again, credentials included: what makes two proxies the same one.
  [[nodiscard]] std::string text() const;
  /// For records: without credentials.
  [[nodiscard]] std::string redacted() const { return scheme + "://" + host_port; }
  friend bool operator==(const ProxyUrl&, const ProxyUrl&) = default;
};

/// scheme://user:password@host:port. Without a scheme it is http; ports default to 80, 443 and 1080.
///
/// Errors: invalid_request with the URL (credentials hidden) and what is wrong with it.
[[nodiscard]] Result<ProxyUrl> parse_proxy_url(std::string_view url);

/// Chooses the proxy for a URL; nothing: none. An error fails the request.
///
/// Threading: runs on the transport's thread, for every request; it must not block.
using ProxyFunction = std::function<Result<std::optional<ProxyUrl>>(const std::string& url)>;

/// The same proxy for every URL.
[[nodiscard]] ProxyFunction fixed_proxy(ProxyUrl proxy);

/// Header fields for a CONNECT to `target` (host:port). An error fails the dial.
///
/// Threading: as ProxyFunction. Source: Go's GetProxyConnectHeader.
using ProxyConnectHeaderFunction = std::function<Result<Headers>(const ProxyUrl& proxy, const std::string& target)>;

}  // namespace conntrace
