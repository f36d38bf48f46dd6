// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace conntrace::example {

/// A request as far as this server cares.
struct OriginRequest {
  std::string method;
  std::string path;   ///< without the query
  std::string query;  ///< without the question mark
  bool keep_alive = true;
};

/// What to do with the bytes that have arrived.
struct ParseResult {
  enum class State { need_more, complete, bad } state = State::need_more;
  std::size_t consumed = 0;  ///< complete: bytes of head and body
  OriginRequest request;
  int status = 0;  ///< bad: what to answer before closing
};

/// Looks for one whole request, body included, at the start of `input`. Source: RFC 9112.
[[nodiscard]] ParseResult parse_request(std::string_view input);

/// What a path asks for.
struct Reply {
  std::string bytes;                  ///< the whole response; empty with reset
  std::chrono::milliseconds delay{};  ///< wait before sending it
  bool close = false;                 ///< it says Connection: close
  bool reset = false;                 ///< end the connection with RST instead
};

/// `last`: this connection serves no further request.
[[nodiscard]] Reply reply_to(const OriginRequest& request, bool last);
/// A response that ends the connection.
[[nodiscard]] std::string error_reply(int status);

}  // namespace conntrace::example
