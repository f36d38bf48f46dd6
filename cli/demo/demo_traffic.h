// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <memory>
#include <string_view>

#include "conntrace/client_trace.h"
#include "conntrace/error.h"
#include "conntrace/ids.h"
#include "demo/demo_servers.h"

namespace conntrace::cli {

/// One thing that the demo shows, and the request that shows it.
struct Situation {
  std::string_view title;
  std::string_view about;  ///< what to look at
  RequestId request = 0;
  bool with_previous = false;  ///< the connection that was closed before it belongs to the picture
};

using Situations = std::array<Situation, 7>;

/// Sends the demo's requests through a Client, one situation after the other.
///
/// Blocking: about a second. Errors: a request that should have been answered was not, or an event that a
/// situation needs did not come; the text says which.
[[nodiscard]] Result<Situations> make_demo_traffic(const DemoServers& servers, const ClientTrace& recorder);

}  // namespace conntrace::cli
