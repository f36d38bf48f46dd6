// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "conntrace/request.h"
#include "http/chunk_decoder.h"
#include "http/framing.h"
#include "http/line_reader.h"
#include "http/tunnel.h"

namespace conntrace::http {

/// The head of a response, interim or final.
struct ResponseHead {
  int status = 0;
  int minor_version = 1;  ///< of HTTP/1.x
  std::string reason;
  Headers headers;
  std::optional<std::uint64_t> content_length;  ///< what the field says, also where no body follows (HEAD, 304)
  BodyFraming body = BodyFraming::none;
  bool keep_alive = true;  ///< neither the head nor the framing rules out another exchange
};

/// Who hears what the parser finds. Returning false stops it.
class ResponseEvents {
 public:
  /// Each interim head (1xx but 101), then the final one.
  virtual bool on_head(ResponseHead&& head) = 0;
  virtual bool on_body(std::string_view piece) = 0;
  /// After the last chunk, if there are any.
  virtual bool on_trailers(Headers&&) { return true; }

 protected:
  ~ResponseEvents() = default;
};

enum class ParseStatus {
  need_more,         ///< all bytes were used
  complete,          ///< the response is whole; further bytes do not belong to it
  stopped,           ///< a listener returned false
  failed,            ///< not HTTP, or such that its end is in doubt; error() says what
  header_too_large,  ///< head or trailers exceed a limit; error() says which
  not_http1,         ///< the peer began with the SETTINGS frame of an HTTP/2 server
};

struct ParseResult {
  ParseStatus status = ParseStatus::need_more;
  std::size_t used = 0;
};

/// What the request and the options say about the response.
struct ResponseRules {
  bool to_head = false;  ///< it answers HEAD: no body
  /// What the request asked for: where that is granted, all that follows the head is body, whatever the head says.
  Tunnel tunnel = Tunnel::none;
  /// Of all heads together, interim ones included, and of the trailers.
  std::size_t max_head_bytes = std::size_t{10} << 20;
  std::size_t max_fields = 1000;  ///< of each head, and of the trailers
};

/// HTTP/1.0 and 1.1 responses from bytes (RFC 9112). Does no I/O, keeps at most one incomplete line.
///
/// Strict where leniency would let two readers see different messages; see FramingFields, parse_field_line and
/// ChunkDecoder for what is refused. A status line may lack the space and reason after its code (Go accepts that, too).
///
/// Threading: none. May be used again with start().
class Http1Parser {
 public:
  explicit Http1Parser(ResponseEvents& events) : events_(events) {}
  Http1Parser(const Http1Parser&) = delete;
  Http1Parser& operator=(const Http1Parser&) = delete;

  /// The response to a new request begins.
  void start(const ResponseRules& rules);
  /// Interim heads are passed over by themselves: complete means the final response.
  [[nodiscard]] ParseResult feed(std::string_view bytes);
  /// The connection ended: complete if the end is the body's end, else failed.
  [[nodiscard]] ParseResult end_of_stream();
  /// Once the final head is known: neither it nor the framing rules out another exchange.
  [[nodiscard]] bool keep_alive() const { return keep_alive_; }
  /// What was wrong, in words without the URL; empty unless failed, header_too_large or not_http1.
  [[nodiscard]] const std::string& error() const { return error_; }

 private:
  enum class State { status_line, fields, length, chunked, until_close, complete, ended };

  [[nodiscard]] ParseStatus step(std::string_view& bytes);
  [[nodiscard]] ParseStatus take_head_line(std::string_view& bytes);
  [[nodiscard]] ParseStatus refuse_beginning(std::string_view bytes);
  [[nodiscard]] ParseStatus take_status_line(std::string_view line);
  [[nodiscard]] ParseStatus take_field(std::string_view line);
  [[nodiscard]] ParseStatus finish_head();
  [[nodiscard]] ParseStatus take_length_body(std::string_view& bytes);
  [[nodiscard]] ParseStatus take_chunked_body(std::string_view& bytes);
  void begin_head();
  [[nodiscard]] bool bodyless() const;
  [[nodiscard]] ParseStatus end(ParseStatus status);
  [[nodiscard]] ParseStatus fail(std::string error, ParseStatus status = ParseStatus::failed);

  ResponseEvents& events_;
  ResponseRules rules_;
  State state_ = State::ended;
  std::size_t head_bytes_ = 0;  ///< that may still come
  std::uint64_t body_left_ = 0;
  bool keep_alive_ = false;
  LineReader lines_;
  ResponseHead head_;
  FramingFields framing_;
  ChunkDecoder chunks_;
  std::string error_;
};

}  // namespace conntrace::http
