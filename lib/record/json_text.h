// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "conntrace/text.h"

namespace conntrace {

struct WrittenText {
  char* end;      ///< one past the last byte written
  bool complete;  ///< false: the text was cut, between two characters, so as not to pass `limit`
};

/// Writes the inside of a JSON string (no quotes). Each byte that is not part of valid UTF-8 becomes U+FFFD.
/// Nothing is written at or beyond `limit`.
[[nodiscard]] WrittenText write_json_text(Text text, char* out, const char* limit);

}  // namespace conntrace
