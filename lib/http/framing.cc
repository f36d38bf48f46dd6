// SPDX-License-Identifier: Apache-2.0
#include "http/framing.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <limits>

#include "http/syntax.h"

namespace conntrace::http {

bool FramingFields::note(std::string_view name, std::string_view value, std::string& error) {
  // All heads pass here: the length tells most names apart.
  constexpr std::string_view kContentLength = "content-length";
  constexpr std::string_view kTransferEncoding = "transfer-encoding";
  constexpr std::string_view kConnection = "connection";
  switch (name.size()) {
    case kContentLength.size(): return !iequals(name, kContentLength) || note_length(value, error);
    case kTransferEncoding.size():
      if (iequals(name, kTransferEncoding)) {
        ++transfer_encodings_;
        transfer_encoding_ = value;
      }
      return true;
    case kConnection.size():
      if (iequals(name, kConnection)) note_connection(value);
      return true;
    default: return true;
  }
}

bool FramingFields::note_length(std::string_view value, std::string& error) {
  split(value, ',', [&](std::string_view number) {
    std::uint64_t length = 0;
    const bool digits =
        !number.empty() && std::all_of(number.begin(), number.end(), [](char c) { return c >= '0' && c <= '9'; });
    const auto [end, problem] = std::from_chars(number.data(), number.data() + number.size(), length);
    if (!digits) {
      error = fmt::format("Content-Length {} is not a number", quoted(value));
    } else if (problem != std::errc() || length > std::numeric_limits<std::int64_t>::max()) {
      error = fmt::format("Content-Length {} is too large", quoted(value));
    } else if (content_length_ && *content_length_ != length) {
      error = fmt::format("two different Content-Lengths, {} and {}", *content_length_, length);
    }
    if (error.empty()) content_length_ = length;
  });
  return error.empty();
}

void FramingFields::note_connection(std::string_view value) {
  split(value, ',', [this](std::string_view option) {
    if (iequals(option, "close")) close_ = true;
    if (iequals(option, "keep-alive")) keep_alive_ = true;
  });
}

std::optional<BodyFraming> FramingFields::decide(bool bodyless, int minor_version, std::string& error) const {
  if (bodyless) return BodyFraming::none;
  if (transfer_encodings_ > 0) {
    if (content_length_) {
      error = "both Transfer-Encoding and Content-Length";
    } else if (transfer_encodings_ > 1) {
      error = "Transfer-Encoding twice";
    } else if (minor_version == 0) {
      error = "Transfer-Encoding in an HTTP/1.0 response";
    } else if (iequals(transfer_encoding_, "chunked")) {
      return BodyFraming::chunked;
    } else if (iequals(transfer_encoding_, "identity")) {
      return BodyFraming::until_close;
    } else {
      error = fmt::format("Transfer-Encoding {}; only chunked is understood", quoted(transfer_encoding_));
    }
    return std::nullopt;
  }
  if (!content_length_) return BodyFraming::until_close;
  return BodyFraming::length;
}

bool FramingFields::keep_alive(int minor_version) const { return !close_ && (minor_version > 0 || keep_alive_); }

}  // namespace conntrace::http
