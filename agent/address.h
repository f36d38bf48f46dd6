// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "bpf/kernel_event.h"

namespace conntrace::agent {

/// The address alone. Empty for a family that is neither IPv4 nor IPv6.
[[nodiscard]] std::string address_of(const conntrace_endpoint& endpoint);

/// "ip:port" or "[v6]:port"; an IPv4 address mapped into IPv6 is shown as IPv4. Empty for another family.
[[nodiscard]] std::string to_string(const conntrace_endpoint& endpoint);

}  // namespace conntrace::agent
