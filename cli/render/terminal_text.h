// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "render/waterfall.h"

namespace conntrace::cli {

/// One line of the terminal that knows how many columns it has and never takes more.
///
/// Text from outside is made printable: control characters and bytes that are not UTF-8 become '?', and so do
/// characters whose width is not known to be one column.
class TerminalLine {
 public:
  TerminalLine(const TerminalOptions& options, std::string& out);

  /// The styles that a line may have; without colour they are nothing.
  enum class Style { plain, bold, dim, red, green, yellow, blue, magenta, cyan };

  /// Adds text; what does not fit is cut, the last character then is … (or '~').
  TerminalLine& text(std::string_view text, Style style = Style::plain);
  /// Fills with blanks up to a column; nothing if it is past it.
  TerminalLine& pad_to(std::size_t column);
  [[nodiscard]] std::size_t room() const { return width_ - used_; }
  [[nodiscard]] std::size_t used() const { return used_; }
  /// Ends the line.
  void end();

 private:
  void put(std::string_view printable, std::size_t columns, Style style);

  bool color_;
  bool utf8_;
  std::size_t width_;
  std::size_t used_ = 0;
  std::string& out_;
};

/// Text that is safe to show, one column a character.
[[nodiscard]] std::string printable(std::string_view text, bool utf8);
/// Columns of printable text.
[[nodiscard]] std::size_t columns_of(std::string_view printable);

/// Appends text as lines that begin with `first` and go on with blanks, broken at blanks.
void wrap(std::string_view text, std::string_view first, TerminalLine::Style style, const TerminalOptions& options,
          std::string& out);

}  // namespace conntrace::cli
