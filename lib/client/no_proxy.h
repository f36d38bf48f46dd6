// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace conntrace::client {

/// An IP address; IPv4 as ::ffff:a.b.c.d (RFC 4291 section 2.5.5.2), so that both spellings are equal.
using IpAddress = std::array<std::uint8_t, 16>;

/// Without brackets and zone; nothing: it is not one.
[[nodiscard]] std::optional<IpAddress> parse_ip(std::string_view text);

/// NO_PROXY, read. What is malformed in it matches nothing. Source: golang.org/x/net/http/httpproxy.
class NoProxy {
 public:
  explicit NoProxy(std::string_view list);
  /// `host` in lower case and ASCII, IPv6 without brackets.
  [[nodiscard]] bool matches(std::string_view host, std::uint16_t port) const;

 private:
  struct Network {
    IpAddress address{};
    unsigned prefix_bits = 0;
  };
  struct Address {
    IpAddress address{};
    std::string port;  ///< empty: any
  };
  struct Domain {
    std::string suffix;  ///< begins with a dot
    bool itself = false;
    std::string port;
  };

  void add(std::string_view entry);

  bool all_ = false;
  std::vector<Network> networks_;
  std::vector<Address> addresses_;
  std::vector<Domain> domains_;
};

}  // namespace conntrace::client
