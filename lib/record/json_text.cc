// SPDX-License-Identifier: Apache-2.0
#include "record/json_text.h"

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <string_view>

namespace conntrace {
namespace {

constexpr std::uint64_t kOnes = 0x0101010101010101;
constexpr std::uint64_t kHighs = 0x8080808080808080;

/// High bits that tell whether one of the eight bytes is less than n (n <= 128) or above 127.
constexpr std::uint64_t below(std::uint64_t word, std::uint64_t n) { return (word - kOnes * n) | word; }

/// Whether JSON takes all eight bytes as they are: printable ASCII but the quote and the backslash.
constexpr bool all_plain(std::uint64_t word) {
  const std::uint64_t special = below(word, 0x20) | below(word ^ (kOnes * '"'), 1) | below(word ^ (kOnes * '\\'), 1);
  return (special & kHighs) == 0;
}

/// Length of the UTF-8 sequence that begins at `at`, 0 if it is not one (RFC 3629: no surrogates, nothing overlong).
std::size_t sequence_length(const unsigned char* at, std::size_t left) {
  const auto continues = [&](std::size_t i) { return i < left && (at[i] & 0xC0) == 0x80; };
  const unsigned char first = at[0];
  if (first < 0xC2 || first > 0xF4 || !continues(1)) return 0;
  const unsigned char second = at[1];
  if (first < 0xE0) return 2;
  if ((first == 0xE0 && second < 0xA0) || (first == 0xED && second > 0x9F) || !continues(2)) return 0;
  if (first < 0xF0) return 3;
  if ((first == 0xF0 && second < 0x90) || (first == 0xF4 && second > 0x8F) || !continues(3)) return 0;
  return 4;
}

constexpr bool plain(unsigned char byte) { return byte >= 0x20 && byte < 0x80 && byte != '"' && byte != '\\'; }

/// The escape of an ASCII byte that is not plain. `scratch` has room for six.
std::string_view escape(unsigned char byte, char* scratch) {
  constexpr char kHex[] = "0123456789abcdef";
  switch (byte) {
    case '"': return "\\\"";
    case '\\': return "\\\\";
    case '\n': return "\\n";
    case '\r': return "\\r";
    case '\t': return "\\t";
    default: break;
  }
  std::copy_n("\\u00", 4, scratch);
  scratch[4] = kHex[byte >> 4];
  scratch[5] = kHex[byte & 15];
  return {scratch, 6};
}

}  // namespace

WrittenText write_json_text(Text text, char* out, const char* limit) {
  const char* at = text.data();
  const char* const end = at + text.size();
  while (at < end) {
    const auto left = static_cast<std::size_t>(end - at);
    if (left >= 8 && limit - out >= 8) {
      std::uint64_t word;
      std::memcpy(&word, at, 8);
      if (all_plain(word)) {
        std::memcpy(out, &word, 8);
        at += 8;
        out += 8;
        continue;
      }
    }
    const auto* const bytes = reinterpret_cast<const unsigned char*>(at);
    if (plain(*bytes)) {
      if (out == limit) return {out, false};
      *out++ = *at++;
      continue;
    }
    char scratch[6];
    std::string_view piece = "\xEF\xBF\xBD";
    std::size_t consumed = 1;
    if (*bytes < 0x80) {
      piece = escape(*bytes, scratch);
    } else if (const std::size_t length = sequence_length(bytes, left); length != 0) {
      piece = {at, length};
      consumed = length;
    }
    if (limit - out < static_cast<std::ptrdiff_t>(piece.size())) return {out, false};
    std::memcpy(out, piece.data(), piece.size());
    out += piece.size();
    at += consumed;
  }
  return {out, true};
}

}  // namespace conntrace
