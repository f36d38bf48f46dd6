// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "conntrace/error.h"
#include "conntrace/request.h"

namespace conntrace {

/// A request body that is made while it is sent, for Request::body_source.
///
/// Threading: the transport calls on its own thread, one call at a time; `wake` may be called from any thread.
/// Blocking:  nothing here may block: it would hold up every request of the transport. What has no bytes yet answers
///            `later` and calls `wake` when it has (see PipeBody).
/// Errors:    an error from read() fails the request in phase send and closes its connection.
class BodySource {
 public:
  enum class Status { data, later, end };
  struct Piece {
    Status status = Status::end;
    std::size_t bytes = 0;  ///< with `data`: at least one
  };

  virtual ~BodySource() = default;
  /// Bytes of the whole body, for Content-Length. Nothing: it is sent chunked (RFC 9112 section 7.1). A source that
  /// then gives fewer or more fails the request.
  [[nodiscard]] virtual std::optional<std::uint64_t> size() const { return std::nullopt; }
  [[nodiscard]] virtual Result<Piece> read(char* into, std::size_t room) = 0;
  /// Names of the fields that trailers() will give. They are announced in the head, and sent only if size() is not
  /// known (RFC 9110 section 6.5). A name that may not be a trailer refuses the request.
  [[nodiscard]] virtual std::vector<std::string> trailer_names() const { return {}; }
  /// Asked for once `end` was read. A field that was not announced fails the request.
  [[nodiscard]] virtual Headers trailers() { return {}; }
  /// Whether rewind() will work. Asked before a retry or a redirect that sends the body again is chosen.
  [[nodiscard]] virtual bool rewindable() const { return false; }
  /// Goes back to the first byte, so that a retry or a redirect can send it again. False: it cannot.
  [[nodiscard]] virtual bool rewind() { return false; }
  /// Called before the first read() of each attempt: what `later` promises to call. It may be called at any time, also
  /// when the request is long over.
  // NOLINTNEXTLINE(performance-unnecessary-value-param): those that override it keep it
  virtual void on_attach(std::function<void()> /*wake*/) {}
  /// Called once, when the request has ended, however it ended: no read() follows.
  virtual void close() noexcept {}
};

}  // namespace conntrace
