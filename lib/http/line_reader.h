// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>

namespace conntrace::http {

/// Lines that end in CRLF, from pieces that break anywhere. A bare LF does not end a line (RFC 9112 section 2.2 allows
/// to accept it; two readers that differ in this can be made to see different messages).
class LineReader {
 public:
  enum class Status { line, need_more, bare_lf, too_long };

  /// Takes one line of at most `max_bytes`, its CRLF included, from the front of `bytes`. `line` has no CRLF; it is
  /// valid until the next call and as long as what `bytes` pointed to. After need_more all bytes were taken.
  [[nodiscard]] Status next(std::string_view& bytes, std::size_t max_bytes, std::string_view& line);
  /// What was taken of a line that has not ended.
  [[nodiscard]] std::string_view begun() const { return given_ ? std::string_view() : std::string_view(held_); }
  void reset() {
    held_.clear();
    given_ = false;
  }

 private:
  std::string held_;
  bool given_ = false;  ///< held_ is the line that was returned last
};

}  // namespace conntrace::http
