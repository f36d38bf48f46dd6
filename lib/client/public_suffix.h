// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

namespace conntrace::client {

/// Names under which anybody may register (com, co.uk, github.io), by libpsl's list of publicsuffix.org; a single label
/// that the list does not know is one, too. Hosts are in lower case and ASCII.
[[nodiscard]] bool is_public_suffix(const std::string& host);

/// The part of the name that was registered: example.co.uk of a.b.example.co.uk. The host itself if it is an address or
/// a public suffix.
[[nodiscard]] std::string registrable_domain(const std::string& host, bool is_address);

}  // namespace conntrace::client
