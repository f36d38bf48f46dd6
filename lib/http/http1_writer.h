// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>

#include "conntrace/error.h"
#include "conntrace/request.h"

namespace conntrace::http {

struct WrittenHead {
  std::size_t bytes = 0;
  bool connection_close = false;  ///< the head says Connection: close
  bool expects_continue = false;  ///< the head says Expect: 100-continue
};

struct HeadOptions {
  std::string_view target;                    ///< origin-form or absolute-form (RFC 9112 section 3.2)
  std::string_view authority;                 ///< for Host, without the scheme's default port
  std::string_view user_agent;                ///< empty: none
  std::string_view proxy_authorization = {};  ///< empty: none; the request's own field is preferred
  bool connection_close = false;
};

/// Why the request's method or fields cannot be sent (RFC 9110 sections 5.1, 5.5 and 9.1), before anything is dialled.
[[nodiscard]] Result<void> check_request(const Request& request);

/// Appends the request's head. Host, User-Agent, Content-Length and Connection: close are added unless the request has
/// them; fields keep their order. Precondition: check_request.
[[nodiscard]] WrittenHead append_head(const Request& request, const HeadOptions& options, std::string& out);

}  // namespace conntrace::http
