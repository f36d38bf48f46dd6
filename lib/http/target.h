// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "conntrace/error.h"

namespace conntrace::http {

/// A URL, taken apart for sending (RFC 3986, RFC 9110 section 4.2).
struct Target {
  std::string scheme;  ///< http or https
  std::string host;    ///< lower case, international names in ASCII (RFC 5891); IPv6 without brackets
  std::uint16_t port = 0;
  bool is_address = false;    ///< the host is an IP address: nothing to resolve
  std::string host_port;      ///< host:port, IPv6 in brackets: what limits, hooks and pools call it by
  std::string authority;      ///< for Host: without the scheme's default port
  std::string path;           ///< origin-form: path and query, at least /
  std::string redacted;       ///< for records: without credentials, query values as *
  std::string authorization;  ///< "Basic …" if the URL has credentials (RFC 7617), else empty
};

/// Blanks and bytes that are not ASCII are percent-encoded. The port must be a number from 1 to 65535.
///
/// Errors: invalid_request with the URL, its password hidden, and what is wrong with it.
[[nodiscard]] Result<Target> parse_target(const std::string& url);

/// Lower case, and international names in ASCII; nothing: it is not a name (RFC 5891).
[[nodiscard]] std::optional<std::string> ascii_host(std::string_view host);

/// The URL with *** for its password (Go's form), also if it does not parse.
[[nodiscard]] std::string without_password(std::string_view url);

/// RFC 4648 section 4, padded.
[[nodiscard]] std::string base64(std::string_view bytes);

/// path?a=*&b=* from path?a=1&b=2
[[nodiscard]] std::string redact_query(std::string_view path);

}  // namespace conntrace::http
