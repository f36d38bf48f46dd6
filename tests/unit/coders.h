// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "http/content_coding.h"

namespace conntrace::http {

/// The content coding, applied. deflate with its zlib wrapping.
[[nodiscard]] std::string encode(Coding coding, std::string_view text);
/// deflate as many servers send it: without wrapping.
[[nodiscard]] std::string raw_deflate(std::string_view text);
/// A frame that needs a window of 2^window_log bytes.
[[nodiscard]] std::string zstd_with_window(std::string_view text, int window_log);
/// `codings` applied first to last.
[[nodiscard]] std::string encode_all(std::span<const Coding> codings, std::string_view text);

}  // namespace conntrace::http
