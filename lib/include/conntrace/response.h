// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "conntrace/ids.h"
#include "conntrace/request.h"

namespace conntrace {

/// A complete response.
struct Response {
  int status = 0;
  std::string reason;
  Headers headers;
  std::string body;             ///< empty if Request::on_body took it
  bool uncompressed = false;    ///< the body was coded and has been decoded (ClientOptions::disable_compression)
  Headers trailers;             ///< what came behind a chunked body (RFC 9112 section 7.1.2)
  RequestId request = 0;        ///< the number that records call it by
  ConnectionId connection = 0;  ///< the connection that carried it
};

}  // namespace conntrace
