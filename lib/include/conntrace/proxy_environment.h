// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "conntrace/proxy.h"

namespace conntrace {

/// What the environment says about proxies.
struct ProxyEnvironment {
  std::string http_proxy;   ///< for http:// URLs
  std::string https_proxy;  ///< for https:// URLs
  std::string all_proxy;    ///< where the one above is empty (libcurl's rule; Go has none)
  /// Who is reached without a proxy, separated by commas: example.com (it and its subdomains), .example.com and
  /// *.example.com (its subdomains), 10.0.0.1, 10.0.0.0/8, each but the last also with :port; * means all.
  std::string no_proxy;
  /// A CGI program: HTTP_PROXY may be the client's header `Proxy` there, and http:// requests are refused with it.
  bool cgi = false;
};

/// The proxy of a URL by this environment. localhost and loopback addresses are never proxied.
///
/// Errors: a value that is no proxy's URL fails the requests that would use it (Go goes without a proxy then).
/// Source: golang.org/x/net/http/httpproxy.
[[nodiscard]] ProxyFunction proxy_from(const ProxyEnvironment& environment);

/// By HTTP_PROXY, HTTPS_PROXY, ALL_PROXY and NO_PROXY, or their names in lower case where these are empty, as they are
/// now. The only function of the library that reads the environment; nothing else calls it.
///
/// Threading: must not run beside setenv().
[[nodiscard]] ProxyFunction proxy_from_environment();

}  // namespace conntrace
