// SPDX-License-Identifier: Apache-2.0
// The first byte says what was asked; the rest is what the server answers.
#include "http/syntax.h"
#include "tests/fuzz/targets.h"
#include "tests/unit/http1_responses.h"

namespace conntrace::fuzz {
namespace {

constexpr std::size_t kMaxHead = 2000;
constexpr std::size_t kMaxFields = 20;

bool same(const http::Seen& a, const http::Seen& b) {
  if (a.status != b.status || a.body != b.body || a.trailers != b.trailers || a.heads.size() != b.heads.size() ||
      a.keep_alive != b.keep_alive) {
    return false;
  }
  for (std::size_t i = 0; i < a.heads.size(); ++i) {
    if (a.heads[i].status != b.heads[i].status || a.heads[i].headers != b.heads[i].headers) return false;
  }
  return true;
}

void check_fields(const Headers& fields) {
  require(fields.size() <= kMaxFields, "no more fields than the limit");
  for (const auto& [name, value] : fields) {
    require(http::is_token(name), "a name is a token");
    require(http::find_control(value) == std::string::npos, "a value has no control character");
  }
}

void run(std::string_view input) {
  if (input.empty()) return;
  const http::ResponseRules rules{.to_head = (input[0] & 1) != 0,
                                  .tunnel = static_cast<http::Tunnel>((input[0] >> 1) % 3),
                                  .max_head_bytes = kMaxHead,
                                  .max_fields = kMaxFields};
  input.remove_prefix(1);
  const http::Seen whole = http::parse_response(input, rules);
  const bool refused = whole.status == http::ParseStatus::failed ||
                       whole.status == http::ParseStatus::header_too_large ||
                       whole.status == http::ParseStatus::not_http1;
  require(refused || whole.status == http::ParseStatus::complete, "the end of the bytes decides");
  require(refused != whole.error.empty(), "what is refused has a reason");
  require(whole.used <= input.size() && whole.body.size() <= input.size(), "nothing comes from nowhere");
  for (const http::ResponseHead& head : whole.heads) check_fields(head.headers);
  check_fields(whole.trailers);
  for (const std::size_t step : {1, 3, 64}) {
    const http::Seen pieces = http::parse_response(input, rules, step);
    require(same(whole, pieces), "the same response wherever the bytes break");
    require(refused || whole.used == pieces.used, "the same end wherever the bytes break");
  }
}

std::vector<std::string> seeds() {
  return {
      "0HTTP/1.1 200 OK\r\nServer: x\r\nContent-Length: 5\r\nConnection: keep-alive\r\n\r\nhello",
      "0HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X\r\n\r\n5;a=\"b\"\r\nhello\r\n0\r\nX: y\r\n\r\n",
      "0HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n",
      "0HTTP/1.0 404 Not Found\r\nContent-Type: text/plain\r\n\r\nuntil the end",
      "1HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
      "2HTTP/1.1 200 Connection established\r\n\r\n\x16\x03\x01",
      "0HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\nbytes",
      "0HTTP/1.1 200\r\nContent-Length: 3, 3\r\nKeep-Alive: timeout=5, max=7\r\n\r\nabcd",
  };
}

}  // namespace

Target http1_response() { return {"http1_response", run, seeds}; }

}  // namespace conntrace::fuzz
