// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "conntrace/error.h"

namespace conntrace::agent {

/// What a timeline needs of a DNS message (RFC 1035).
struct DnsMessage {
  std::uint16_t id = 0;
  bool response = false;
  bool truncated = false;              ///< the TC bit
  std::string rcode;                   ///< NOERROR, NXDOMAIN, …, or RCODE23
  std::string name;                    ///< of the question: lower case, no final dot, odd bytes as \DDD
  std::string type;                    ///< A, AAAA, …, or TYPE65280; name and type are empty without a question
  std::vector<std::string> addresses;  ///< of A and AAAA records in the answer section
};

/// Parses with libresolv (ns_initparse), which checks every bound; the bytes come from the network and may be hostile.
/// Errors: bad_record.
[[nodiscard]] Result<DnsMessage> parse_dns(std::span<const std::uint8_t> bytes);

}  // namespace conntrace::agent
