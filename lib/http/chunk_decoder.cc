// SPDX-License-Identifier: Apache-2.0
#include "http/chunk_decoder.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "http/field_line.h"
#include "http/syntax.h"

namespace conntrace::http {
namespace {

constexpr std::size_t kMaxSizeLine = 4096;
constexpr std::size_t kMaxSizeDigits = 16;
/// Go's rule: a peer may not make us read much more framing than data.
constexpr std::size_t kMaxOverhead = 16 * 1024;
constexpr std::size_t kUsualSizeLine = 16;

bool is_hex(char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F'); }

bool frames_messages(std::string_view name) {
  return iequals(name, "content-length") || iequals(name, "transfer-encoding") || iequals(name, "trailer");
}

}  // namespace

void ChunkDecoder::start(std::size_t max_trailer_bytes, std::size_t max_trailers) {
  state_ = State::size;
  left_ = 0;
  overhead_ = 0;
  data_cr_ = false;
  trailer_bytes_ = max_trailer_bytes;
  max_trailers_ = max_trailers;
  lines_.reset();
  trailers_.clear();
  error_.clear();
}

ChunkDecoder::Status ChunkDecoder::next(std::string_view& bytes, std::string_view& piece) {
  while (!bytes.empty() && state_ != State::done) {
    Status status = Status::need_more;
    switch (state_) {
      case State::size: status = take_size(bytes); break;
      case State::data:
        piece = bytes.substr(0, static_cast<std::size_t>(std::min<std::uint64_t>(left_, bytes.size())));
        bytes.remove_prefix(piece.size());
        left_ -= piece.size();
        if (left_ == 0) state_ = State::data_end;
        return Status::data;
      case State::data_end: status = take_data_end(bytes); break;
      case State::trailers: status = take_trailers(bytes); break;
      case State::done: break;
    }
    if (status == Status::failed || status == Status::too_large) return status;
  }
  return state_ == State::done ? Status::done : Status::need_more;
}

ChunkDecoder::Status ChunkDecoder::take_size(std::string_view& bytes) {
  std::string_view line;
  switch (lines_.next(bytes, kMaxSizeLine, line)) {
    case LineReader::Status::need_more: return Status::need_more;
    case LineReader::Status::bare_lf: return fail("a chunk size line that ends in a bare line feed");
    case LineReader::Status::too_long:
      return fail(fmt::format("a chunk size line of more than {} bytes", kMaxSizeLine));
    case LineReader::Status::line: break;
  }
  if (!parse_size(line)) return Status::failed;
  overhead_ += line.size();
  const std::size_t usual = kUsualSizeLine + static_cast<std::size_t>(std::min<std::uint64_t>(left_, kMaxOverhead)) * 2;
  overhead_ -= std::min(overhead_, usual);
  if (overhead_ > kMaxOverhead) return fail("chunk extensions that outweigh the data");
  state_ = left_ > 0 ? State::data : State::trailers;
  return Status::need_more;
}

bool ChunkDecoder::parse_size(std::string_view line) {
  const auto end_of_size = std::find_if_not(line.begin(), line.end(), is_hex);
  const std::string_view digits = line.substr(0, static_cast<std::size_t>(end_of_size - line.begin()));
  const std::string_view rest = line.substr(digits.size());
  const std::string_view extension = trim(rest);
  if (digits.empty() || (!rest.empty() && (extension.empty() || extension.front() != ';'))) {
    error_ = fmt::format("chunk size {} is not a hexadecimal number", quoted(line));
    return false;
  }
  if (digits.size() > kMaxSizeDigits) {
    error_ = fmt::format("chunk size {} is too large", quoted(digits));
    return false;
  }
  if (find_control(rest) != std::string_view::npos) {
    error_ = fmt::format("a control character in chunk extension {}", quoted(rest));
    return false;
  }
  std::from_chars(digits.data(), digits.data() + digits.size(), left_, 16);
  return true;
}

ChunkDecoder::Status ChunkDecoder::take_data_end(std::string_view& bytes) {
  const char c = bytes.front();
  if (c != (data_cr_ ? '\n' : '\r')) {
    return fail(fmt::format("a chunk is not followed by CRLF but by {}", quoted(bytes.substr(0, 1))));
  }
  bytes.remove_prefix(1);
  data_cr_ = !data_cr_;
  if (!data_cr_) state_ = State::size;
  return Status::need_more;
}

ChunkDecoder::Status ChunkDecoder::take_trailers(std::string_view& bytes) {
  std::string_view line;
  switch (lines_.next(bytes, trailer_bytes_, line)) {
    case LineReader::Status::need_more: return Status::need_more;
    case LineReader::Status::bare_lf: return fail("a trailer line that ends in a bare line feed");
    case LineReader::Status::too_long: error_ = "the trailers are too large"; return Status::too_large;
    case LineReader::Status::line: break;
  }
  trailer_bytes_ -= line.size() + 2;
  if (line.empty()) {
    state_ = State::done;
    return Status::done;
  }
  if (trailers_.size() == max_trailers_) {
    error_ = fmt::format("more than {} trailers", max_trailers_);
    return Status::too_large;
  }
  return add_trailer(line) ? Status::need_more : Status::failed;
}

bool ChunkDecoder::add_trailer(std::string_view line) {
  FieldLine field;
  if (!parse_field_line(line, field, error_)) {
    error_ += " (in the trailers)";
    return false;
  }
  if (frames_messages(field.name)) {
    error_ = fmt::format("{} as a trailer", field.name);
    return false;
  }
  trailers_.emplace_back(field.name, field.value);
  return true;
}

std::string_view ChunkDecoder::where() const {
  switch (state_) {
    case State::size: return "before the last chunk";
    case State::data:
    case State::data_end: return "within a chunk";
    default: return "within the trailers";
  }
}

ChunkDecoder::Status ChunkDecoder::fail(std::string error) {
  error_ = std::move(error);
  return Status::failed;
}

}  // namespace conntrace::http
