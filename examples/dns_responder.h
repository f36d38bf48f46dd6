// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "conntrace/error.h"

namespace conntrace::example {

struct DnsOptions {
  std::string address = "127.0.0.1";
  std::uint16_t port = 0;                                 ///< 0: a free one
  std::map<std::string, std::vector<std::string>> names;  ///< lower case, no final dot → IPv4 and IPv6 addresses
  std::chrono::milliseconds delay{};                      ///< before each answer
};

/// A small authoritative DNS server over UDP for examples and tests: A and AAAA of a fixed list, NXDOMAIN for the rest.
///
/// Threading: any thread may call. Lifetime: the destructor stops its thread. Source: RFC 1035.
class DnsResponder {
 public:
  [[nodiscard]] static Result<std::unique_ptr<DnsResponder>> start(DnsOptions options);
  ~DnsResponder();
  DnsResponder(const DnsResponder&) = delete;
  DnsResponder& operator=(const DnsResponder&) = delete;

  [[nodiscard]] std::uint16_t port() const;
  /// Answers sent.
  [[nodiscard]] std::uint64_t answered() const;

 private:
  class Impl;
  explicit DnsResponder(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace conntrace::example
