// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

namespace conntrace {

/// Number of a request in its process, from 1; 0 is none. Kept over retries, which have attempt numbers.
using RequestId = std::uint64_t;
/// Number of a connection in its process, from 1; 0 is none. Given when its dial begins, so a failed dial has one too.
using ConnectionId = std::uint64_t;

}  // namespace conntrace
