// SPDX-License-Identifier: Apache-2.0
#include "http/http1_writer.h"

#include <boost/beast/core/string.hpp>
#include <boost/beast/http/field.hpp>
#include <boost/beast/http/rfc7230.hpp>

namespace conntrace::http {
namespace {

namespace bhttp = boost::beast::http;
boost::beast::string_view view(std::string_view text) { return {text.data(), text.size()}; }

bool is_token(std::string_view text) {
  constexpr std::string_view kOther = "!#$%&'*+-.^_`|~";
  if (text.empty()) return false;
  for (const char c : text) {
    const bool alphanumeric = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
    if (!alphanumeric && kOther.find(c) == std::string_view::npos) return false;
  }
  return true;
}

bool is_field_value(std::string_view text) {
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if ((byte < 0x20 && c != '\t') || byte == 0x7f) return false;
  }
  return true;
}

bool needs_content_length(const Request& request) {
  if (!request.body.empty()) return true;
  return request.method == "POST" || request.method == "PUT" || request.method == "PATCH";
}

}  // namespace

Result<void> check_request(const Request& request) {
  if (!is_token(request.method)) {
    return Failure(make_error(Errc::invalid_request, "method \"" + request.method + "\" is not a token"));
  }
  for (const auto& [name, value] : request.headers) {
    if (!is_token(name))
      return Failure(make_error(Errc::invalid_request, "header name \"" + name + "\" is not a token"));
    if (!is_field_value(value)) {
      return Failure(make_error(Errc::invalid_request, "header " + name + " has a control character in its value"));
    }
    const auto field = bhttp::string_to_field(view(name));
    if (field == bhttp::field::transfer_encoding || field == bhttp::field::content_length) {
      return Failure(make_error(Errc::invalid_request, "header " + name + " is set by the transport"));
    }
  }
  return {};
}

WrittenHead append_head(const Request& request, const HeadOptions& options, std::string& out) {
  WrittenHead written;
  const std::size_t before = out.size();
  const auto append_field = [&out](std::string_view name, std::string_view value) {
    out.append(name).append(": ").append(value).append("\r\n");
  };
  bool has_connection = false;
  out.append(request.method).append(" ").append(options.target).append(" HTTP/1.1\r\n");
  if (find_header(request.headers, "host") == nullptr) append_field("Host", options.authority);
  for (const auto& [name, value] : request.headers) {
    append_field(name, value);
    const auto field = bhttp::string_to_field(view(name));
    if (field == bhttp::field::connection) {
      has_connection = true;
      if (bhttp::token_list(view(value)).exists("close")) written.connection_close = true;
    } else if (field == bhttp::field::expect) {
      written.expects_continue = boost::beast::iequals(view(value), "100-continue") && !request.body.empty();
    }
  }
  if (!options.user_agent.empty() && find_header(request.headers, "user-agent") == nullptr) {
    append_field("User-Agent", options.user_agent);
  }
  if (!options.proxy_authorization.empty() && find_header(request.headers, "proxy-authorization") == nullptr) {
    append_field("Proxy-Authorization", options.proxy_authorization);
  }
  if (needs_content_length(request)) append_field("Content-Length", std::to_string(request.body.size()));
  if (!has_connection && options.connection_close) {
    append_field("Connection", "close");
    written.connection_close = true;
  }
  out.append("\r\n");
  written.bytes = out.size() - before;
  return written;
}

}  // namespace conntrace::http
