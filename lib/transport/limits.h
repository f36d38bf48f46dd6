// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "conntrace/transport.h"
#include "pool/limits.h"

namespace conntrace::transport {

/// What the pool has to know of the options.
[[nodiscard]] pool::Limits pool_limits(const TransportOptions& options);
/// What a response said of keeping its connection.
[[nodiscard]] pool::KeepAlive keep_alive_said(const Headers& headers);

}  // namespace conntrace::transport
