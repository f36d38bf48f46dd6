// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace conntrace::http {

/// Where the body of a message ends (RFC 9112 section 6.3).
enum class BodyFraming {
  none,         ///< there is no body, whatever the head says
  length,       ///< after Content-Length bytes
  chunked,      ///< after the last chunk and the trailers
  until_close,  ///< where the connection ends
};

/// The fields of a response head that decide where its body ends and whether the connection is kept.
///
/// Strict, because two readers that find different ends can be made to see different responses: see note() and
/// decide().
class FramingFields {
 public:
  void reset() { *this = FramingFields(); }
  /// Looks at a field. False: it is refused, and `error` says why (Content-Length that is not one number of digits; two
  /// that differ; identical ones count once).
  [[nodiscard]] bool note(std::string_view name, std::string_view value, std::string& error);
  /// The framing of a response; nothing: it is refused, and `error` says why (Transfer-Encoding together with
  /// Content-Length, twice, in HTTP/1.0, or other than `chunked`; `identity` counts as none). `bodyless`: it answers
  /// HEAD, or its status allows no body; then the fields mean nothing.
  [[nodiscard]] std::optional<BodyFraming> decide(bool bodyless, int minor_version, std::string& error) const;
  /// Whether either side may send another message, as far as the head says it.
  [[nodiscard]] bool keep_alive(int minor_version) const;

  [[nodiscard]] std::optional<std::uint64_t> content_length() const { return content_length_; }

 private:
  [[nodiscard]] bool note_length(std::string_view value, std::string& error);
  void note_connection(std::string_view value);

  std::optional<std::uint64_t> content_length_;
  int transfer_encodings_ = 0;
  std::string transfer_encoding_;
  bool close_ = false;
  bool keep_alive_ = false;
};

}  // namespace conntrace::http
