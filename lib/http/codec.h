// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <span>
#include <string_view>

#include "conntrace/error.h"
#include "http/content_coding.h"

namespace conntrace::http {

/// One content coding, taken off. The stages of a BodyDecoder.
class Codec {
 public:
  Codec() = default;
  Codec(const Codec&) = delete;
  Codec& operator=(const Codec&) = delete;
  virtual ~Codec() = default;

  /// Decodes from the front of `in` into `out` and returns how much it made. 0: all of `in` was used and more is
  /// needed. Errors: content_corrupt, body_too_large, with the codec's words.
  [[nodiscard]] virtual Result<std::size_t> run(std::string_view& in, std::span<char> out) = 0;
  /// The coded bytes may end here.
  [[nodiscard]] virtual bool may_end() const = 0;
};

/// zlib_codec.cc: members of gzip one after the other (RFC 1952); deflate with zlib's wrapping, as RFC 9110 says, and
/// without, as many servers send it.
[[nodiscard]] std::unique_ptr<Codec> make_zlib_codec(Coding coding);
[[nodiscard]] std::unique_ptr<Codec> make_brotli_codec();
/// `max_window_log`: a frame that needs a greater window is refused.
[[nodiscard]] std::unique_ptr<Codec> make_zstd_codec(int max_window_log);

}  // namespace conntrace::http
