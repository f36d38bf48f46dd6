// SPDX-License-Identifier: Apache-2.0
#include "http/http1_parser.h"

#include <boost/beast/http/basic_parser.hpp>
#include <boost/beast/http/error.hpp>
#include <boost/optional.hpp>

namespace conntrace::http {
namespace {

namespace beast = boost::beast;
namespace bhttp = boost::beast::http;
using ErrorCode = beast::error_code;
using View = beast::string_view;

constexpr std::size_t kUsualFields = 16;

/// Beast's parser with its callbacks turned into ours; nothing is stored but the head.
class BeastParser final : public bhttp::basic_parser<false> {
 public:
  explicit BeastParser(ResponseEvents& events) : events_(events) {
    eager(true);
    head_.headers.reserve(kUsualFields);
    body_limit(boost::none);
  }
  [[nodiscard]] bool stopped() const { return stopped_; }

 private:
  void on_request_impl(bhttp::verb, View, View, int, ErrorCode&) override {}
  void on_response_impl(int code, View reason, int version, ErrorCode&) override {
    head_.status = code;
    head_.minor_version = version % 10;
    head_.reason.assign(reason.data(), reason.size());
  }
  void on_field_impl(bhttp::field, View name, View value, ErrorCode&) override {
    head_.headers.emplace_back(std::string(name.data(), name.size()), std::string(value.data(), value.size()));
  }
  void on_header_impl(ErrorCode& error) override {
    if (const auto length = content_length()) head_.content_length = *length;
    stop_unless(events_.on_head(std::move(head_)), error);
  }
  void on_body_init_impl(const boost::optional<std::uint64_t>&, ErrorCode&) override {}
  std::size_t on_body_impl(View piece, ErrorCode& error) override {
    stop_unless(events_.on_body({piece.data(), piece.size()}), error);
    return piece.size();
  }
  void on_chunk_header_impl(std::uint64_t, View, ErrorCode&) override {}
  std::size_t on_chunk_body_impl(std::uint64_t, View piece, ErrorCode& error) override {
    stop_unless(events_.on_body({piece.data(), piece.size()}), error);
    return piece.size();
  }
  void on_finish_impl(ErrorCode&) override {}

  void stop_unless(bool go_on, ErrorCode& error) {
    if (go_on) return;
    stopped_ = true;
    error = bhttp::error::end_of_stream;
  }

  ResponseEvents& events_;
  ResponseHead head_;
  bool stopped_ = false;
};

}  // namespace

class Http1Parser::Impl {
 public:
  explicit Impl(ResponseEvents& events) : events_(events) {}

  void start(bool no_body, std::size_t max_head_bytes) {
    parser_.emplace(events_);
    parser_->skip(no_body);
    parser_->header_limit(static_cast<std::uint32_t>(std::min<std::size_t>(max_head_bytes, UINT32_MAX)));
    error_ = {};
  }

  ParseResult feed(std::string_view bytes) {
    std::size_t used = 0;
    while (used < bytes.size() && !parser_->is_done()) {
      ErrorCode error;
      const std::size_t step = parser_->put(boost::asio::buffer(bytes.data() + used, bytes.size() - used), error);
      used += step;
      if (error == bhttp::error::need_more) return {ParseStatus::need_more, used};
      if (error) return {failure(error), used};
    }
    return {parser_->is_done() ? ParseStatus::complete : ParseStatus::need_more, used};
  }

  ParseResult end_of_stream() {
    if (!parser_->got_some()) return {ParseStatus::failed, 0};  // Beast takes this as a precondition
    ErrorCode error;
    parser_->put_eof(error);
    if (error) return {failure(error), 0};
    return {parser_->is_done() ? ParseStatus::complete : ParseStatus::failed, 0};
  }

  [[nodiscard]] bool keep_alive() const { return parser_->keep_alive(); }
  [[nodiscard]] std::string error() const { return error_.message(); }

 private:
  ParseStatus failure(const ErrorCode& error) {
    error_ = error;
    if (parser_->stopped()) return ParseStatus::stopped;
    return error == bhttp::error::header_limit ? ParseStatus::header_too_large : ParseStatus::failed;
  }

  ResponseEvents& events_;
  std::optional<BeastParser> parser_;
  ErrorCode error_;
};

Http1Parser::Http1Parser(ResponseEvents& events) : impl_(std::make_unique<Impl>(events)) {}
Http1Parser::~Http1Parser() = default;
void Http1Parser::start(bool no_body, std::size_t max_head_bytes) { impl_->start(no_body, max_head_bytes); }
ParseResult Http1Parser::feed(std::string_view bytes) { return impl_->feed(bytes); }
ParseResult Http1Parser::end_of_stream() { return impl_->end_of_stream(); }
bool Http1Parser::keep_alive() const { return impl_->keep_alive(); }
std::string Http1Parser::error() const { return impl_->error(); }

}  // namespace conntrace::http
