// SPDX-License-Identifier: Apache-2.0
// Boost.Beast as the oracle: where both parsers accept bytes they see the same response, and what ours accepts but
// Beast refuses is one of the few differences that are meant.
#include <gtest/gtest.h>

#include <boost/asio/buffer.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/string_body.hpp>
#include <optional>
#include <random>

#include "http/syntax.h"
#include "tests/unit/http1_responses.h"

namespace conntrace::http {
namespace {

namespace bhttp = boost::beast::http;

struct BeastSaw {
  int status = 0;
  Headers headers;
  std::string body;
  std::size_t used = 0;
  bool keep_alive = false;
};

std::optional<BeastSaw> ask_beast(std::string_view bytes) {
  bhttp::response_parser<bhttp::string_body> parser;
  parser.eager(true);
  parser.header_limit(1 << 20);
  parser.body_limit(boost::none);
  std::size_t used = 0;
  boost::beast::error_code error;
  while (used < bytes.size() && !parser.is_done()) {
    used += parser.put(boost::asio::buffer(bytes.data() + used, bytes.size() - used), error);
    if (error) break;
  }
  if (error && error != bhttp::error::need_more) return std::nullopt;
  if (!parser.got_some()) return std::nullopt;
  if (!parser.is_done()) {
    parser.put_eof(error);
    if (error || !parser.is_done()) return std::nullopt;
  }
  BeastSaw saw{.status = static_cast<int>(parser.get().result_int()), .used = used, .keep_alive = parser.keep_alive()};
  saw.body = parser.get().body();
  return saw;
}

/// Responses of one head that both take, to be damaged.
const std::vector<std::string> kSeeds = {
    "HTTP/1.1 200 OK\r\nServer: x\r\nContent-Length: 5\r\nConnection: keep-alive\r\n\r\nhello",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5;a=b\r\nhello\r\n1\r\n!\r\n0\r\n\r\n",
    "HTTP/1.0 404 Not Found\r\nContent-Type: text/plain\r\nX: y\r\n\r\nuntil the end",
    "HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n",
    "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 3\r\n\r\nabc",
};

std::string damage(std::string bytes, std::mt19937& random) {
  const auto below = [&random](std::size_t n) { return static_cast<std::size_t>(random() % n); };
  constexpr std::string_view kPieces[] = {"\r\n", "\n", "\r", " ",       "\t",    ":",       ",",
                                          "0",    "9",  "-",  "chunked", "close", "\r\n\r\n"};
  for (std::size_t edits = 1 + below(3); edits > 0 && !bytes.empty(); --edits) {
    const std::size_t at = below(bytes.size());
    switch (below(5)) {
      case 0: bytes[at] = static_cast<char>(below(256)); break;
      case 1: bytes.erase(at, 1 + below(4)); break;
      case 2: bytes.insert(at, kPieces[below(std::size(kPieces))]); break;
      case 3: bytes.insert(at, bytes.substr(below(bytes.size()), below(20))); break;
      default: bytes.resize(at); break;
    }
  }
  return bytes;
}

bool meant_to_differ(const Seen& ours, std::string_view bytes) {
  const ResponseHead& head = ours.heads.back();
  // A status line without the space after the code, no-body responses whose framing fields contradict each other, field
  // values of Connection that are no list, chunk extensions that keep no grammar, a status of 1xx, which Beast ends at.
  return head.reason.empty() || head.body == BodyFraming::none || find_header(head.headers, "connection") != nullptr ||
         find_header(head.headers, "proxy-connection") != nullptr || bytes.find(';') != std::string_view::npos;
}

TEST(Http1Oracle, WhereBeastAgreesItSeesTheSame) {
  std::mt19937 random(20260101);
  int both = 0;
  int neither = 0;
  int ours_alone = 0;
  for (int round = 0; round < 50'000; ++round) {
    const std::string bytes = damage(kSeeds[random() % kSeeds.size()], random);
    const Seen ours = parse_response(bytes);
    const auto beast = ask_beast(bytes);
    if (ours.status != ParseStatus::complete) {
      ++neither;
      continue;
    }
    if (!beast) {
      ++ours_alone;
      EXPECT_TRUE(meant_to_differ(ours, bytes)) << testing::PrintToString(bytes);
      continue;
    }
    if (ours.heads.size() > 1) continue;
    ++both;
    EXPECT_EQ(ours.heads[0].status, beast->status) << testing::PrintToString(bytes);
    EXPECT_EQ(ours.body, beast->body) << testing::PrintToString(bytes);
    EXPECT_EQ(ours.used, beast->used) << testing::PrintToString(bytes);
    if (find_header(ours.heads[0].headers, "proxy-connection") == nullptr) {
      EXPECT_EQ(ours.keep_alive, beast->keep_alive) << testing::PrintToString(bytes);
    }
    if (testing::Test::HasFailure()) return;
  }
  RecordProperty("both", both);
  EXPECT_GT(both, 5'000);
  EXPECT_GT(neither, 5'000);
  EXPECT_LT(ours_alone, both);
}

}  // namespace
}  // namespace conntrace::http
