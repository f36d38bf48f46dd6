// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "conntrace/request.h"

namespace conntrace::http {

/// Content codings that can be taken off (RFC 9110 section 8.4.1, RFC 7932, RFC 8878).
enum class Coding : std::uint8_t { gzip, deflate, br, zstd };

[[nodiscard]] std::string_view name_of(Coding coding);

/// What a request says that shall be decoded.
inline constexpr std::string_view kAcceptEncoding = "gzip, deflate, br, zstd";
/// Beyond it a body is a bomb, not a response.
inline constexpr std::size_t kMaxCodings = 4;

/// Whether kAcceptEncoding is added and the body then decoded. Source: Go's rule: not if the request has
/// Accept-Encoding or Range, nor for HEAD.
[[nodiscard]] bool wants_decoding(const Request& request);

/// The codings of a response, in the order in which they were applied; empty: none; nothing: one of them is not known,
/// or there are more than kMaxCodings, and the body is handed over as it comes.
[[nodiscard]] std::optional<std::vector<Coding>> codings_of(const Headers& headers);

/// Removes the fields that describe the coded body: Content-Encoding, Content-Length.
void drop_coding_fields(Headers& headers);

}  // namespace conntrace::http
