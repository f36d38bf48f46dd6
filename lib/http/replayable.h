// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "conntrace/request.h"

namespace conntrace::http {

/// Methods that may be sent twice (RFC 9110 section 9.2.2), and requests that say so of themselves:
/// (X-)Idempotency-Key. Source: Go's Request.isReplayable, QUERY included; the body is looked at elsewhere.
[[nodiscard]] bool is_replayable(const Request& request);

}  // namespace conntrace::http
