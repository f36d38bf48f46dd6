// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace conntrace {

struct ClientTrace;

/// Header fields in the order they were added; names compare without case (RFC 9110 section 5.1).
using Headers = std::vector<std::pair<std::string, std::string>>;

/// The first value of a field, or nullptr.
[[nodiscard]] const std::string* find_header(const Headers& headers, std::string_view name);

/// One HTTP request. A value: it may be sent more than once.
struct Request {
  std::string method = "GET";
  std::string url;  ///< absolute, http or https
  Headers headers;  ///< Host, Content-Length and Connection are added if missing
  std::string body;
  /// From send() to the last byte of the body, waiting and dialling included; nothing: no limit.
  std::optional<std::chrono::nanoseconds> timeout;
  /// Cancels the request from any thread.
  std::stop_token stop;
  /// Hooks of this request alone; they run before the transport's.
  std::shared_ptr<const ClientTrace> trace;
  /// Gets the body in pieces instead of Response::body. Returning false abandons it. Runs on the transport's thread.
  std::function<bool(std::string_view)> on_body;
};

}  // namespace conntrace
