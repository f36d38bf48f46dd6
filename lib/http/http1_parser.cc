// SPDX-License-Identifier: Apache-2.0
#include "http/http1_parser.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "http/field_line.h"
#include "http/syntax.h"

namespace conntrace::http {
namespace {

constexpr std::string_view kVersion = "HTTP/1.";
/// HTTP/1.1 200
constexpr std::size_t kUpToStatus = 12;
/// Still an allocation that malloc keeps at hand.
constexpr std::size_t kUsualFields = 15;
/// Of HTTP/2: length, type, flags, stream.
constexpr std::size_t kFrameHead = 9;
constexpr int kSwitchingProtocols = 101;
constexpr int kNoContent = 204;
constexpr int kNotModified = 304;

bool is_digit(char c) { return c >= '0' && c <= '9'; }

/// Whether it may be the beginning of a status line.
bool begins_well(std::string_view bytes) {
  const std::size_t known = std::min(bytes.size(), kVersion.size());
  return bytes.substr(0, known) == kVersion.substr(0, known);
}

/// The head of the SETTINGS frame with which an HTTP/2 server begins, whatever the client sends (RFC 9113 sections 3.4,
/// 4.1 and 6.5): parameters of six bytes each, no flags, stream 0. Fewer bytes: as far as they go.
bool may_be_settings_frame(std::string_view bytes) {
  constexpr std::string_view kBehindLength("\x04\0\0\0\0\0", 6);
  for (std::size_t i = 0; i < std::min(bytes.size(), kFrameHead); ++i) {
    const auto byte = static_cast<unsigned char>(bytes[i]);
    if (i < 2 && byte != 0) return false;
    if (i == 2 && byte % 6 != 0) return false;
    if (i > 2 && bytes[i] != kBehindLength[i - 3]) return false;
  }
  return true;
}

/// What is wrong with a status line; empty: nothing.
std::string check_status_line(std::string_view line) {
  if (!begins_well(line) || line.size() < kVersion.size()) {
    return fmt::format("the response does not begin with HTTP/1. but with {}", quoted(line));
  }
  const char version = line.size() > kVersion.size() ? line[kVersion.size()] : ' ';
  if ((version != '0' && version != '1') || (line.size() > kVersion.size() + 1 && line[kVersion.size() + 1] != ' ')) {
    return fmt::format("an HTTP version that is neither 1.0 nor 1.1: {}", quoted(line));
  }
  const std::string_view code = line.substr(std::min(line.size(), kVersion.size() + 2));
  const bool three_digits = code.size() >= 3 && std::all_of(code.begin(), code.begin() + 3, is_digit);
  if (!three_digits || code.front() == '0' || (code.size() > 3 && code[3] != ' ')) {
    return fmt::format("a status that is not a number from 100 to 999: {}", quoted(line));
  }
  if (const std::size_t control = find_control(line); control != std::string_view::npos) {
    return fmt::format("control character {} in the status line", quoted(line.substr(control, 1)));
  }
  return {};
}

}  // namespace

void Http1Parser::start(const ResponseRules& rules) {
  rules_ = rules;
  head_bytes_ = rules.max_head_bytes;
  body_left_ = 0;
  keep_alive_ = false;
  lines_.reset();
  error_.clear();
  begin_head();
}

void Http1Parser::begin_head() {
  state_ = State::status_line;
  head_ = ResponseHead();
  head_.headers.reserve(kUsualFields);
  framing_.reset();
}

ParseResult Http1Parser::feed(std::string_view bytes) {
  const std::size_t offered = bytes.size();
  ParseStatus status = state_ == State::complete ? ParseStatus::complete : ParseStatus::need_more;
  while (!bytes.empty() && status == ParseStatus::need_more) status = step(bytes);
  return {status, offered - bytes.size()};
}

ParseStatus Http1Parser::step(std::string_view& bytes) {
  switch (state_) {
    case State::status_line:
    case State::fields: return take_head_line(bytes);
    case State::length: return take_length_body(bytes);
    case State::chunked: return take_chunked_body(bytes);
    case State::until_close: {
      const std::string_view piece = std::exchange(bytes, {});
      return events_.on_body(piece) ? ParseStatus::need_more : end(ParseStatus::stopped);
    }
    case State::complete: return ParseStatus::complete;
    case State::ended: break;
  }
  return fail("bytes after the parser had ended");
}

ParseStatus Http1Parser::take_head_line(std::string_view& bytes) {
  std::string_view line;
  switch (lines_.next(bytes, head_bytes_, line)) {
    case LineReader::Status::need_more:
      // What is not HTTP may never send a line feed.
      if (state_ == State::status_line && !begins_well(lines_.begun())) {
        const std::string_view begun = lines_.begun();
        const bool undecided = begun.size() < kFrameHead && may_be_settings_frame(begun);
        return undecided ? ParseStatus::need_more : refuse_beginning(begun);
      }
      return ParseStatus::need_more;
    case LineReader::Status::bare_lf:
      if (state_ == State::status_line && !begins_well(line)) return refuse_beginning(line);
      return fail("a header line that ends in a bare line feed");
    case LineReader::Status::too_long:
      return fail(fmt::format("the head exceeds {} bytes", rules_.max_head_bytes), ParseStatus::header_too_large);
    case LineReader::Status::line: break;
  }
  head_bytes_ -= line.size() + 2;
  if (state_ == State::status_line) return take_status_line(line);
  return line.empty() ? finish_head() : take_field(line);
}

ParseStatus Http1Parser::refuse_beginning(std::string_view bytes) {
  if (bytes.size() < kFrameHead || !may_be_settings_frame(bytes)) return fail(check_status_line(bytes));
  return fail("the server spoke HTTP/2: its first bytes are a SETTINGS frame", ParseStatus::not_http1);
}

ParseStatus Http1Parser::take_status_line(std::string_view line) {
  if (std::string wrong = check_status_line(line); !wrong.empty()) {
    return begins_well(line) ? fail(std::move(wrong)) : refuse_beginning(line);
  }
  head_.minor_version = line[kVersion.size()] - '0';
  const std::string_view code = line.substr(kUpToStatus - 3);
  head_.status = (code[0] - '0') * 100 + (code[1] - '0') * 10 + (code[2] - '0');
  head_.reason = trim(code.substr(3));
  state_ = State::fields;
  return ParseStatus::need_more;
}

ParseStatus Http1Parser::take_field(std::string_view line) {
  if (head_.headers.size() == rules_.max_fields) {
    return fail(fmt::format("more than {} headers", rules_.max_fields), ParseStatus::header_too_large);
  }
  FieldLine field;
  if (!parse_field_line(line, field, error_) || !framing_.note(field.name, field.value, error_)) {
    return end(ParseStatus::failed);
  }
  head_.headers.emplace_back(field.name, field.value);
  return ParseStatus::need_more;
}

bool Http1Parser::bodyless() const {
  const int status = head_.status;
  return rules_.to_head || status / 100 == 1 || status == kNoContent || status == kNotModified;
}

ParseStatus Http1Parser::finish_head() {
  const std::optional<BodyFraming> framing = grants(rules_.tunnel, head_.status)
                                                 ? BodyFraming::until_close
                                                 : framing_.decide(bodyless(), head_.minor_version, error_);
  if (!framing) return end(ParseStatus::failed);
  const bool interim = head_.status / 100 == 1 && head_.status != kSwitchingProtocols;
  keep_alive_ = *framing != BodyFraming::until_close && framing_.keep_alive(head_.minor_version);
  head_.body = *framing;
  head_.keep_alive = keep_alive_;
  head_.content_length = framing_.content_length();
  switch (*framing) {
    case BodyFraming::none: state_ = State::complete; break;
    case BodyFraming::length:
      body_left_ = *head_.content_length;
      state_ = body_left_ > 0 ? State::length : State::complete;
      break;
    case BodyFraming::chunked:
      chunks_.start(head_bytes_, rules_.max_fields);
      state_ = State::chunked;
      break;
    case BodyFraming::until_close: state_ = State::until_close; break;
  }
  if (!events_.on_head(std::move(head_))) return end(ParseStatus::stopped);
  if (interim) begin_head();
  return state_ == State::complete ? ParseStatus::complete : ParseStatus::need_more;
}

ParseStatus Http1Parser::take_length_body(std::string_view& bytes) {
  const std::string_view piece =
      bytes.substr(0, static_cast<std::size_t>(std::min<std::uint64_t>(body_left_, bytes.size())));
  bytes.remove_prefix(piece.size());
  body_left_ -= piece.size();
  if (!events_.on_body(piece)) return end(ParseStatus::stopped);
  return body_left_ == 0 ? end(ParseStatus::complete) : ParseStatus::need_more;
}

ParseStatus Http1Parser::take_chunked_body(std::string_view& bytes) {
  std::string_view piece;
  switch (chunks_.next(bytes, piece)) {
    case ChunkDecoder::Status::need_more: return ParseStatus::need_more;
    case ChunkDecoder::Status::data: return events_.on_body(piece) ? ParseStatus::need_more : end(ParseStatus::stopped);
    case ChunkDecoder::Status::done:
      if (!chunks_.trailers().empty() && !events_.on_trailers(std::move(chunks_.trailers()))) {
        return end(ParseStatus::stopped);
      }
      return end(ParseStatus::complete);
    case ChunkDecoder::Status::failed: return fail(chunks_.error());
    case ChunkDecoder::Status::too_large: return fail(chunks_.error(), ParseStatus::header_too_large);
  }
  return fail("");  // not reached: all values are above
}

ParseResult Http1Parser::end_of_stream() {
  constexpr std::string_view kEnded = "the connection ended ";
  switch (state_) {
    case State::complete:
    case State::until_close: return {end(ParseStatus::complete), 0};
    case State::status_line:
      return {
          fail(fmt::format("{}{}", kEnded, lines_.begun().empty() ? "before a status line" : "within the status line")),
          0};
    case State::fields: return {fail(fmt::format("{}within the head", kEnded)), 0};
    case State::length: return {fail(fmt::format("{}{} bytes before the body's end", kEnded, body_left_)), 0};
    case State::chunked: return {fail(fmt::format("{}{}", kEnded, chunks_.where())), 0};
    case State::ended: break;
  }
  return {ParseStatus::failed, 0};
}

ParseStatus Http1Parser::end(ParseStatus status) {
  state_ = status == ParseStatus::complete ? State::complete : State::ended;
  return status;
}

ParseStatus Http1Parser::fail(std::string error, ParseStatus status) {
  error_ = std::move(error);
  return end(status);
}

}  // namespace conntrace::http
