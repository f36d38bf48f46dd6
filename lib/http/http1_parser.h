// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "conntrace/request.h"

namespace conntrace::http {

/// The head of a response, interim or final.
struct ResponseHead {
  int status = 0;
  int minor_version = 1;  ///< of HTTP/1.x
  std::string reason;
  Headers headers;
  std::optional<std::uint64_t> content_length;
};

/// Who hears what the parser finds. Returning false stops it.
class ResponseEvents {
 public:
  virtual bool on_head(ResponseHead head) = 0;
  virtual bool on_body(std::string_view piece) = 0;

 protected:
  ~ResponseEvents() = default;
};

enum class ParseStatus {
  need_more,         ///< all that could be used was used
  complete,          ///< the response is whole; further bytes belong to the next
  stopped,           ///< a listener returned false
  failed,            ///< not HTTP; error() says what
  header_too_large,  ///< the head exceeds the limit
};

struct ParseResult {
  ParseStatus status = ParseStatus::need_more;
  std::size_t used = 0;  ///< bytes that need not be shown again
};

/// HTTP/1.x responses from bytes (RFC 9112), framed by Boost.Beast. Does no I/O; may be used again with start().
class Http1Parser {
 public:
  explicit Http1Parser(ResponseEvents& events);
  ~Http1Parser();
  Http1Parser(const Http1Parser&) = delete;
  Http1Parser& operator=(const Http1Parser&) = delete;

  /// A new response begins. `no_body`: it answers HEAD. Also after each interim (1xx) response.
  void start(bool no_body, std::size_t max_head_bytes);
  [[nodiscard]] ParseResult feed(std::string_view bytes);
  /// The connection ended: complete if the end is the body's end, else failed.
  [[nodiscard]] ParseResult end_of_stream();
  /// Valid after complete: neither side's head or framing rules out another exchange.
  [[nodiscard]] bool keep_alive() const;
  [[nodiscard]] std::string error() const;

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace conntrace::http
