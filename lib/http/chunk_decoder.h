// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "conntrace/request.h"
#include "http/line_reader.h"

namespace conntrace::http {

/// The chunked transfer coding, taken off (RFC 9112 section 7.1). Copies no data; holds at most one line.
///
/// Refused, each by name: sizes that are not 1 to 16 hexadecimal digits, bare line feeds, a chunk longer than its size,
/// control characters, extensions of more than 4 KiB or much longer than the data, trailers that frame messages.
class ChunkDecoder {
 public:
  enum class Status {
    need_more,  ///< all bytes were taken
    data,       ///< `piece` is a piece of the body
    done,       ///< the last chunk and the trailers were taken; the bytes that are left belong to the next message
    failed,     ///< error() says why
    too_large,  ///< the trailers exceed their limit
  };

  /// A new body. The trailer section may have so many bytes and fields.
  void start(std::size_t max_trailer_bytes, std::size_t max_trailers);
  /// Takes from the front of `bytes` up to the next piece of the body.
  [[nodiscard]] Status next(std::string_view& bytes, std::string_view& piece);

  [[nodiscard]] Headers& trailers() { return trailers_; }
  [[nodiscard]] const std::string& error() const { return error_; }
  /// What the end of the connection interrupts.
  [[nodiscard]] std::string_view where() const;

 private:
  enum class State { size, data, data_end, trailers, done };

  [[nodiscard]] Status take_size(std::string_view& bytes);
  [[nodiscard]] Status take_data_end(std::string_view& bytes);
  [[nodiscard]] Status take_trailers(std::string_view& bytes);
  [[nodiscard]] bool parse_size(std::string_view line);
  [[nodiscard]] bool add_trailer(std::string_view line);
  [[nodiscard]] Status fail(std::string error);

  State state_ = State::size;
  std::uint64_t left_ = 0;         ///< of the chunk's data
  std::size_t overhead_ = 0;       ///< bytes that were not data, beyond what is usual
  bool data_cr_ = false;           ///< the CR behind the data was taken
  std::size_t trailer_bytes_ = 0;  ///< that may still come
  std::size_t max_trailers_ = 0;
  LineReader lines_;
  Headers trailers_;
  std::string error_;
};

}  // namespace conntrace::http
