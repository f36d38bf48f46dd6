// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "http/http1_parser.h"

namespace conntrace::http {

/// What a parser made of some bytes.
struct Seen final : ResponseEvents {
  std::vector<ResponseHead> heads;
  std::string body;
  Headers trailers;
  ParseStatus status = ParseStatus::need_more;
  std::string error;
  std::size_t used = 0;
  bool keep_alive = false;

  bool on_head(ResponseHead&& head) override {
    heads.push_back(std::move(head));
    return true;
  }
  bool on_body(std::string_view piece) override {
    body += piece;
    return true;
  }
  bool on_trailers(Headers&& fields) override {
    trailers = std::move(fields);
    return true;
  }
};

/// Feeds `bytes` in pieces of at most `step`, then the connection's end unless the response is over.
inline Seen parse_response(std::string_view bytes, const ResponseRules& rules = {},
                           std::size_t step = std::string::npos) {
  Seen seen;
  Http1Parser parser(seen);
  parser.start(rules);
  while (seen.status == ParseStatus::need_more && seen.used < bytes.size()) {
    const ParseResult result = parser.feed(bytes.substr(seen.used, step));
    seen.used += result.used;
    seen.status = result.status;
  }
  if (seen.status == ParseStatus::need_more) seen.status = parser.end_of_stream().status;
  seen.error = parser.error();
  seen.keep_alive = parser.keep_alive();
  return seen;
}

}  // namespace conntrace::http
