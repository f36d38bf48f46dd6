// SPDX-License-Identifier: Apache-2.0
#include "http/http1_writer.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <iterator>

#include "http/syntax.h"

namespace conntrace::http {
namespace {

/// What frames or routes a message cannot come after it.
constexpr std::array<std::string_view, 12> kNoTrailers = {
    "authorization", "connection", "content-encoding", "content-length",   "content-type", "cookie", "expect", "host",
    "range",         "te",         "trailer",          "transfer-encoding"};

Failure refuse(std::string why) { return Failure(make_error(Errc::invalid_request, std::move(why))); }

Result<void> check_field(std::string_view what, const std::string& name, const std::string& value) {
  if (!is_token(name)) return refuse(fmt::format("{} name {} is not a token", what, quoted(name)));
  if (const std::size_t control = find_control(value); control != std::string::npos) {
    return refuse(fmt::format("{} {} has a control character in its value, {}", what, name,
                              quoted(std::string_view(value).substr(control, 1))));
  }
  return {};
}

/// Neither a blank nor what would end the authority (RFC 9110 section 7.2).
bool is_host(std::string_view text) { return text.find_first_of(" \t/?#@\\\"<>^`{|},") == std::string_view::npos; }

bool needs_content_length(const Request& request) {
  if (!request.body.empty()) return true;
  return request.method == "POST" || request.method == "PUT" || request.method == "PATCH";
}

void append_field(std::string& out, std::string_view name, std::string_view value) {
  out.append(name).append(": ").append(value).append("\r\n");
}

void append_framing(const Request& request, const std::optional<StreamedBody>& streamed, std::string& out) {
  if (!streamed) {
    if (needs_content_length(request)) append_field(out, "Content-Length", std::to_string(request.body.size()));
  } else if (streamed->length) {
    append_field(out, "Content-Length", std::to_string(*streamed->length));
  } else {
    append_field(out, "Transfer-Encoding", "chunked");
    if (!streamed->trailers.empty()) append_field(out, "Trailer", streamed->trailers);
  }
}

}  // namespace

Result<void> check_request(const Request& request) {
  if (!is_token(request.method)) return refuse(fmt::format("method {} is not a token", quoted(request.method)));
  int hosts = 0;
  for (const auto& [name, value] : request.headers) {
    if (auto checked = check_field("header", name, value); !checked) return checked;
    if (iequals(name, "transfer-encoding") || iequals(name, "content-length") || iequals(name, "trailer")) {
      return refuse(fmt::format("header {} is set by the transport", name));
    }
    if (iequals(name, "host")) {
      if (++hosts > 1) return refuse("header Host twice");
      if (!is_host(value)) return refuse(fmt::format("header Host {} is not a host", quoted(value)));
    }
  }
  return {};
}

Result<void> check_trailers(const Headers& trailers) {
  for (const auto& [name, value] : trailers) {
    if (auto checked = check_field("trailer", name, value); !checked) return checked;
    const auto same = [&name = name](std::string_view other) { return iequals(name, other); };
    if (std::any_of(kNoTrailers.begin(), kNoTrailers.end(), same)) {
      return refuse(fmt::format("{} cannot be a trailer", name));
    }
  }
  return {};
}

WrittenHead append_head(const Request& request, const HeadOptions& options, std::string& out) {
  WrittenHead written;
  const std::size_t before = out.size();
  const bool has_body = options.streamed ? options.streamed->length != 0 : !request.body.empty();
  out.append(request.method).append(" ").append(options.target).append(" HTTP/1.1\r\n");
  // The order of what is added is Go's (net/http Request.write). The request's own fields keep theirs, but for Host,
  // which comes first, whoever sets it (RFC 9110 section 7.2).
  const std::string* host = find_header(request.headers, "host");
  append_field(out, "Host", host != nullptr ? *host : options.authority);
  if (!options.user_agent.empty() && find_header(request.headers, "user-agent") == nullptr) {
    append_field(out, "User-Agent", options.user_agent);
  }
  append_framing(request, options.streamed, out);
  for (const auto& [name, value] : request.headers) {
    if (iequals(name, "host")) continue;
    if (iequals(name, "connection")) {
      const bool close = lists(value, "close");
      if (close && written.connection_close && iequals(trim(value), "close")) continue;
      written.connection_close = written.connection_close || close;
    } else if (iequals(name, "expect")) {
      written.expects_continue = has_body && iequals(trim(value), "100-continue");
    }
    append_field(out, name, value);
  }
  if (!options.proxy_authorization.empty() && find_header(request.headers, "proxy-authorization") == nullptr) {
    append_field(out, "Proxy-Authorization", options.proxy_authorization);
  }
  for (const auto& [name, value] : options.extra) {
    if (find_header(request.headers, name) == nullptr) append_field(out, name, value);
  }
  if (options.connection_close && !written.connection_close) {
    append_field(out, "Connection", "close");
    written.connection_close = true;
  }
  out.append("\r\n");
  written.bytes = out.size() - before;
  return written;
}

void append_chunk_begin(std::uint64_t size, std::string& out) {
  fmt::format_to(std::back_inserter(out), "{:x}\r\n", size);
}

void append_last_chunk(const Headers& trailers, std::string& out) {
  out += "0\r\n";
  for (const auto& [name, value] : trailers) append_field(out, name, value);
  out += "\r\n";
}

}  // namespace conntrace::http
