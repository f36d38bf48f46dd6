// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <span>
#include <string_view>
#include <utility>
#include <vector>

#include "conntrace/error.h"
#include "http/codec.h"
#include "http/content_coding.h"

namespace conntrace::http {

/// How much a coded body may become. A small body can be coded so that it decodes to terabytes.
struct DecodeLimits {
  std::uint64_t max_bytes = 0;    ///< decoded, of every coding of a stack; 0: no limit
  std::uint64_t max_ratio = 256;  ///< decoded to coded bytes, once `ratio_from` bytes were decoded; 0: no limit
  std::uint64_t ratio_from = std::uint64_t{16} << 20;
  /// Of zstd: log2 of the window. RFC 9659: senders of the content coding stay within 8 MiB.
  int max_window_log = 23;
};

/// A body's content codings, taken off piece by piece.
///
/// It makes no more than one piece of 16 KiB at a time, so that a reader who must wait keeps coded bytes, not decoded
/// ones: call next() only as often as the pieces can be used.
///
///     while (true) {
///       auto piece = decoder.next(bytes);    // Result; an error ends the body
///       if (!piece || piece->empty()) break; // empty: all bytes were used
///       use(*piece);
///     }
///
/// Threading: none. Errors: content_corrupt, content_truncated, body_too_large; the context names the coding and what
/// was wrong. After an error nothing more may be asked.
class BodyDecoder {
 public:
  /// `codings` as codings_of() gave them: applied first to last, taken off last to first.
  explicit BodyDecoder(std::span<const Coding> codings, const DecodeLimits& limits = {});

  /// The next piece of the body, from the front of `bytes`; valid until the next call. Empty: all bytes were used.
  [[nodiscard]] Result<std::string_view> next(std::string_view& bytes);
  /// The coded body is over. Call it when next() has returned an empty piece. Error: content_truncated.
  [[nodiscard]] Result<void> finish() const;

  [[nodiscard]] std::uint64_t bytes_in() const { return bytes_in_; }
  [[nodiscard]] std::uint64_t bytes_out() const { return stages_.empty() ? bytes_in_ : stages_.back().made; }

  /// All pieces of `bytes`, given to `sink(std::string_view) -> bool` until it returns false, which is what this
  /// returns then.
  template <class Sink>
  [[nodiscard]] Result<bool> decode(std::string_view bytes, Sink&& sink) {
    for (;;) {
      Result<std::string_view> piece = next(bytes);
      if (!piece) return tl::make_unexpected(std::move(piece).error());
      if (piece->empty()) return true;
      if (!sink(*piece)) return false;
    }
  }

 private:
  static constexpr std::size_t kPiece = std::size_t{16} * 1024;
  struct Stage {
    Coding coding;
    std::unique_ptr<Codec> codec;
    std::unique_ptr<std::array<char, kPiece>> buffer;
    std::string_view in;  ///< what the stage before made and this one has not used
    std::uint64_t made = 0;
  };

  [[nodiscard]] Result<std::string_view> pull(std::size_t stage, std::string_view& bytes);
  [[nodiscard]] Result<void> check_limits(const Stage& stage) const;

  const DecodeLimits limits_;
  std::vector<Stage> stages_;
  std::uint64_t bytes_in_ = 0;
};

}  // namespace conntrace::http
