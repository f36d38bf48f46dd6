// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "conntrace/error.h"

namespace conntrace::http {

/// A URL, taken apart for sending (RFC 3986, RFC 9110 section 4.2).
struct Target {
  std::string scheme;  ///< http or https
  std::string host;    ///< lower case; IPv6 without brackets
  std::uint16_t port = 0;
  bool is_address = false;  ///< the host is an IP address: nothing to resolve
  std::string host_port;    ///< host:port, IPv6 in brackets: what limits, hooks and pools call it by
  std::string authority;    ///< for Host: without the scheme's default port
  std::string path;         ///< origin-form: path and query, at least /
  std::string redacted;     ///< for records: without credentials, query values as *
};

/// Errors: invalid_request with the URL and what is wrong with it.
[[nodiscard]] Result<Target> parse_target(const std::string& url);

/// path?a=*&b=* from path?a=1&b=2
[[nodiscard]] std::string redact_query(std::string_view path);

}  // namespace conntrace::http
