// SPDX-License-Identifier: Apache-2.0
#include "render/terminal_text.h"

#include <algorithm>

namespace conntrace::cli {
namespace {

constexpr unsigned kLeastWidth = 40;

std::string_view code_of(TerminalLine::Style style) {
  switch (style) {
    case TerminalLine::Style::plain: return "";
    case TerminalLine::Style::bold: return "\x1b[1m";
    case TerminalLine::Style::dim: return "\x1b[2m";
    case TerminalLine::Style::red: return "\x1b[31m";
    case TerminalLine::Style::green: return "\x1b[32m";
    case TerminalLine::Style::yellow: return "\x1b[33m";
    case TerminalLine::Style::blue: return "\x1b[34m";
    case TerminalLine::Style::magenta: return "\x1b[35m";
    case TerminalLine::Style::cyan: return "\x1b[36m";
  }
  return "";
}

/// Length of the UTF-8 character at the beginning of text, 0 if it is none; its code point goes to `point`.
std::size_t decode(std::string_view text, char32_t& point) {
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  const auto follows = [&](std::size_t i) { return i < text.size() && (byte(i) & 0xC0) == 0x80; };
  if (byte(0) < 0x80) {
    point = byte(0);
    return 1;
  }
  if ((byte(0) & 0xE0) == 0xC0 && follows(1)) {
    point = static_cast<char32_t>((byte(0) & 0x1F) << 6 | (byte(1) & 0x3F));
    return point >= 0x80 ? 2 : 0;
  }
  if ((byte(0) & 0xF0) == 0xE0 && follows(1) && follows(2)) {
    point = static_cast<char32_t>((byte(0) & 0x0F) << 12 | (byte(1) & 0x3F) << 6 | (byte(2) & 0x3F));
    return point >= 0x800 ? 3 : 0;
  }
  return 0;
}

bool one_column(char32_t point) {
  if (point < 0x80) return point >= 0x20 && point != 0x7F;
  const bool latin = point >= 0xA1 && point <= 0x2AF && point != 0xAD;
  const bool ours = (point >= 0x2190 && point <= 0x21FF) || (point >= 0x2500 && point <= 0x25FF) || point == 0x2026 ||
                    point == 0x2014;
  return latin || ours || point == 0xB7;
}

}  // namespace

std::string printable(std::string_view text, bool utf8) {
  std::string out;
  while (!text.empty()) {
    char32_t point = 0;
    const std::size_t length = decode(text, point);
    const bool show = length == 1 ? one_column(point) : length > 1 && utf8 && one_column(point);
    if (show) {
      out += text.substr(0, length);
    } else {
      out += '?';
    }
    text.remove_prefix(std::max<std::size_t>(length, 1));
  }
  return out;
}

std::size_t columns_of(std::string_view text) {
  return static_cast<std::size_t>(std::ranges::count_if(text, [](unsigned char c) { return (c & 0xC0) != 0x80; }));
}

TerminalLine::TerminalLine(const TerminalOptions& options, std::string& out)
    : color_(options.color), utf8_(options.utf8), width_(std::max(options.width, kLeastWidth)), out_(out) {}

TerminalLine& TerminalLine::text(std::string_view raw, Style style) {
  std::string shown = printable(raw, utf8_);
  std::size_t columns = columns_of(shown);
  if (columns > room()) {
    if (room() == 0) return *this;
    std::size_t keep = room() - 1;
    std::size_t bytes = 0;
    for (; bytes < shown.size(); ++bytes) {
      const bool begins = (static_cast<unsigned char>(shown[bytes]) & 0xC0) != 0x80;
      if (begins && keep-- == 0) break;
    }
    shown.resize(bytes);
    shown += utf8_ ? "…" : "~";
    columns = room();
  }
  put(shown, columns, style);
  return *this;
}

TerminalLine& TerminalLine::pad_to(std::size_t column) {
  column = std::min(column, width_);
  if (column > used_) put(std::string(column - used_, ' '), column - used_, Style::plain);
  return *this;
}

void TerminalLine::put(std::string_view shown, std::size_t columns, Style style) {
  const bool styled = color_ && style != Style::plain && !shown.empty();
  if (styled) out_ += code_of(style);
  out_ += shown;
  if (styled) out_ += "\x1b[0m";
  used_ += columns;
}

void TerminalLine::end() {
  while (!out_.empty() && out_.back() == ' ') out_.pop_back();
  out_ += '\n';
  used_ = 0;
}

void wrap(std::string_view text, std::string_view first, TerminalLine::Style style, const TerminalOptions& options,
          std::string& out) {
  const std::size_t indent = columns_of(first);
  TerminalLine line(options, out);
  line.text(first, style);
  while (!text.empty()) {
    const std::size_t end = std::min(text.find(' '), text.size());
    const std::string_view word = text.substr(0, end);
    const bool begins = line.used() <= indent;
    if (!begins && columns_of(word) + 1 > line.room()) {
      line.end();
      line.pad_to(indent);
    } else if (!begins) {
      line.text(" ");
    }
    line.text(word, style);
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  line.end();
}

}  // namespace conntrace::cli
