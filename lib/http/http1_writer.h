// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "conntrace/error.h"
#include "conntrace/request.h"

namespace conntrace::http {

struct WrittenHead {
  std::size_t bytes = 0;
  bool connection_close = false;  ///< the head says Connection: close
  bool expects_continue = false;  ///< the head says Expect: 100-continue, and there is a body to wait with
};

/// A body that is not Request::body.
struct StreamedBody {
  std::optional<std::uint64_t> length;  ///< nothing: not known, sent in chunks
  std::string_view trailers;            ///< names, joined by commas, for the Trailer field; only with chunks
};

/// A field that the client adds. It does not replace one of the request's.
using ExtraField = std::pair<std::string_view, std::string_view>;

struct HeadOptions {
  std::string_view target;                    ///< origin-form, absolute-form or authority-form (RFC 9112 section 3.2)
  std::string_view authority;                 ///< for Host, without the scheme's default port
  std::string_view user_agent;                ///< empty: none
  std::string_view proxy_authorization = {};  ///< empty: none; the request's own field is preferred
  bool connection_close = false;
  std::optional<StreamedBody> streamed;
  /// Written after the request's own fields unless the request has one of that name: Accept-Encoding, Authorization ….
  std::span<const ExtraField> extra;
};

/// Why the request's method or fields cannot be sent (RFC 9110 sections 5.1, 5.5 and 9.1), before anything is dialled.
/// Errors: invalid_request, with what is wrong.
[[nodiscard]] Result<void> check_request(const Request& request);
/// The same for fields that are sent as trailers: names that may not be one are refused, too (RFC 9110 section 6.5.1).
[[nodiscard]] Result<void> check_trailers(const Headers& trailers);

/// Appends the request's head: Host, User-Agent and the body's framing, then the request's own fields in their order,
/// which are preferred, then extra fields and Connection: close, which is written once at most.
/// Precondition: check_request.
[[nodiscard]] WrittenHead append_head(const Request& request, const HeadOptions& options, std::string& out);

/// What goes before a piece of a body that is sent in chunks; kChunkEnd goes behind it. Precondition: size > 0 (an
/// empty chunk would end the body).
void append_chunk_begin(std::uint64_t size, std::string& out);
inline constexpr std::string_view kChunkEnd = "\r\n";
/// The last chunk and the trailers. Precondition: check_trailers.
void append_last_chunk(const Headers& trailers, std::string& out);

}  // namespace conntrace::http
