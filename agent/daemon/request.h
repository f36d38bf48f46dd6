// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "agent/observer.h"

namespace conntrace::agent {

/// What a client of the daemon asks for: one line of JSON, the only one that it sends.
///
///     {"schema":"conntrace.agent/1","request":"watch","pids":[1234],"all":false,"follow_children":true}
///     {"schema":"conntrace.agent/1","request":"status"}
struct ClientRequest {
  enum class What { watch, status };
  What what = What::watch;
  Selection selection;
};

inline constexpr std::string_view kAgentSchema = "conntrace.agent/1";
/// A line that is longer is refused.
inline constexpr std::size_t kMaxRequest = std::size_t{64} * 1024;

/// Errors: EINVAL; the context says what is wrong. Fields that it does not know are skipped.
[[nodiscard]] Result<ClientRequest> parse_request(std::string_view line);

}  // namespace conntrace::agent
