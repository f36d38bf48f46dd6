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

#include "conntrace/ids.h"

namespace conntrace {

class BodySource;
struct ClientTrace;
struct Response;

/// Header fields in the order they were added; names compare without case (RFC 9110 section 5.1).
using Headers = std::vector<std::pair<std::string, std::string>>;

/// The first value of a field, or nullptr.
[[nodiscard]] const std::string* find_header(const Headers& headers, std::string_view name);

/// What becomes of a response body, decided when its head is there.
enum class HeadAction {
  take,     ///< on_body gets it, or Response::body
  discard,  ///< read and thrown away if it is short, else given up with its connection (TransportOptions::drain_bytes)
};

/// What to do after a piece of a response body.
enum class BodyAction {
  go_on,
  pause,  ///< no further piece until Transport::resume; the connection is not read meanwhile
  stop,   ///< give the rest up, as with HeadAction::discard; the request ends as a success
};

/// One HTTP request. A value: it may be sent more than once, unless it has a body_source that cannot rewind.
///
/// Threading: its callbacks run on the transport's thread and must not block.
struct Request {
  std::string method = "GET";
  std::string url;   ///< absolute, http or https
  Headers headers;   ///< Host, Content-Length, Transfer-Encoding and Connection are added if missing
  std::string body;  ///< empty if there is a body_source
  /// Makes the body while it is sent. With CONNECT, or GET with `Connection: upgrade` and Upgrade, it is not a body but
  /// what is sent, as it comes, once the server agreed by 2xx or 101 (RFC 9110 sections 9.3.6 and 7.8); what comes back
  /// goes where a body would. Its end half-closes the connection, except over TLS; giving the body up closes it.
  std::shared_ptr<BodySource> body_source;
  /// From send() to the last byte of the body, waiting and dialling included; nothing: no limit.
  std::optional<std::chrono::nanoseconds> timeout;
  /// Cancels the request from any thread.
  std::stop_token stop;
  /// Hooks of this request alone; they run before the transport's.
  std::shared_ptr<const ClientTrace> trace;
  /// Sees the final head, right after the response_head hook: status, headers and numbers of the Response are filled.
  std::function<HeadAction(const Response&)> on_head;
  /// Gets the body in pieces instead of Response::body.
  std::function<BodyAction(std::string_view)> on_body;
  /// For records: the request whose redirect, or whose failure, this one follows. Client sets them.
  std::optional<RequestId> redirected_from;
  std::optional<RequestId> retry_of;
};

}  // namespace conntrace
