// SPDX-License-Identifier: Apache-2.0
#include "origin_http.h"

#include <strings.h>

#include <algorithm>
#include <charconv>

namespace conntrace::example {
namespace {

constexpr std::size_t kMaxHead = 16 * 1024;
constexpr std::uint64_t kMaxBody = 16u << 20;
constexpr std::uint64_t kMaxReplyBytes = 256u << 20;
constexpr std::uint64_t kMaxDelayMs = 60'000;

bool equals(std::string_view a, std::string_view b) {
  return a.size() == b.size() && strncasecmp(a.data(), b.data(), a.size()) == 0;
}

std::string_view trim(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  return text;
}

std::optional<std::uint64_t> to_number(std::string_view text) {
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (text.empty() || error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

std::uint64_t query_number(std::string_view query, std::string_view key, std::uint64_t maximum) {
  while (!query.empty()) {
    const std::string_view pair = query.substr(0, query.find('&'));
    query.remove_prefix(std::min(query.size(), pair.size() + 1));
    const std::size_t equal = pair.find('=');
    if (equal == std::string_view::npos || pair.substr(0, equal) != key) continue;
    return std::min(to_number(pair.substr(equal + 1)).value_or(0), maximum);
  }
  return 0;
}

std::string_view phrase(int status) {
  switch (status) {
    case 200: return "OK";
    case 400: return "Bad Request";
    case 404: return "Not Found";
    case 413: return "Content Too Large";
    case 431: return "Request Header Fields Too Large";
    case 501: return "Not Implemented";
    case 503: return "Service Unavailable";
  }
  return "Error";
}

std::string head(int status, bool close) {
  return "HTTP/1.1 " + std::to_string(status) + " " + std::string(phrase(status)) +
         "\r\nServer: conntrace-origin\r\nContent-Type: text/plain\r\n" + (close ? "Connection: close\r\n" : "");
}

std::string response(int status, std::string_view body, bool close, bool head_only) {
  std::string out = head(status, close) + "Content-Length: " + std::to_string(body.size()) + "\r\n\r\n";
  if (!head_only) out += body;
  return out;
}

ParseResult bad(int status) { return {.state = ParseResult::State::bad, .status = status}; }

}  // namespace

ParseResult parse_request(std::string_view input) {
  const std::size_t head_end = input.find("\r\n\r\n");
  if (head_end == std::string_view::npos) return input.size() > kMaxHead ? bad(431) : ParseResult{};
  if (head_end > kMaxHead) return bad(431);
  std::string_view lines = input.substr(0, head_end + 2);

  ParseResult result;
  const std::string_view first = lines.substr(0, lines.find("\r\n"));
  lines.remove_prefix(first.size() + 2);
  const std::size_t space = first.find(' ');
  const std::size_t last_space = first.rfind(' ');
  if (space == std::string_view::npos || space == 0 || last_space == space) return bad(400);
  const std::string_view version = first.substr(last_space + 1);
  if (version != "HTTP/1.1" && version != "HTTP/1.0") return bad(400);
  std::string_view target = first.substr(space + 1, last_space - space - 1);
  if (const std::size_t scheme = target.find("://"); scheme != std::string_view::npos && target.front() != '/') {
    const std::size_t slash = target.find('/', scheme + 3);  // absolute form, RFC 9112 section 3.2.2
    target = slash == std::string_view::npos ? "/" : target.substr(slash);
  }
  const std::size_t question = std::min(target.find('?'), target.size());
  result.request.method = first.substr(0, space);
  result.request.path = target.substr(0, question);
  result.request.query = question < target.size() ? target.substr(question + 1) : "";
  result.request.keep_alive = version == "HTTP/1.1";

  std::uint64_t body = 0;
  while (!lines.empty()) {
    const std::string_view line = lines.substr(0, lines.find("\r\n"));
    lines.remove_prefix(line.size() + 2);
    const std::size_t colon = line.find(':');
    if (colon == std::string_view::npos || colon == 0) return bad(400);
    const std::string_view name = line.substr(0, colon);
    const std::string_view value = trim(line.substr(colon + 1));
    if (equals(name, "content-length")) {
      const auto length = to_number(value);
      if (!length) return bad(400);
      if (*length > kMaxBody) return bad(413);
      body = *length;
    } else if (equals(name, "transfer-encoding")) {
      return bad(501);
    } else if (equals(name, "connection")) {
      if (equals(value, "close")) result.request.keep_alive = false;
      if (equals(value, "keep-alive")) result.request.keep_alive = true;
    }
  }
  if (input.size() - head_end - 4 < body) return {};
  result.consumed = head_end + 4 + static_cast<std::size_t>(body);
  result.state = ParseResult::State::complete;
  return result;
}

Reply reply_to(const OriginRequest& request, bool last) {
  Reply reply;
  const bool head_only = request.method == "HEAD";
  reply.close = last || !request.keep_alive || request.path == "/close";
  if (request.path == "/reset") {
    reply.reset = true;
  } else if (request.path == "/hello" || request.path == "/close" || request.path == "/delay") {
    reply.bytes = response(200, "hello\n", reply.close, head_only);
    if (request.path == "/delay") {
      reply.delay = std::chrono::milliseconds(query_number(request.query, "ms", kMaxDelayMs));
    }
  } else if (request.path == "/bytes") {
    const std::string body(query_number(request.query, "n", kMaxReplyBytes), 'x');
    reply.bytes = response(200, body, reply.close, head_only);
  } else if (request.path == "/chunked") {
    reply.bytes = head(200, reply.close) + "Transfer-Encoding: chunked\r\n\r\n";
    if (!head_only) reply.bytes += "6\r\nhello \r\n6\r\nfrom a\r\n7\r\n chunk\n\r\n0\r\n\r\n";
  } else {
    reply.bytes = response(404, "no such path\n", reply.close, head_only);
  }
  return reply;
}

std::string error_reply(int status) {
  return response(status, std::string(phrase(status)) + "\n", /*close=*/true, /*head_only=*/false);
}

}  // namespace conntrace::example
