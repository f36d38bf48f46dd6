// SPDX-License-Identifier: Apache-2.0
#include "http/http1_parser.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/unit/http1_responses.h"

namespace conntrace::http {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Pair;

TEST(Http1Parser, TakesAHeadApart) {
  const Seen seen = parse_response(
      "HTTP/1.1 200 All is well\r\nServer:x\r\nX-Empty:\r\nX-Spaces: \t a  b \t\r\nContent-Length: 3\r\n"
      "Keep-Alive: timeout=5\r\nkeep-alive: max=7\r\n\r\nabc");
  ASSERT_EQ(seen.heads.size(), 1);
  const ResponseHead& head = seen.heads[0];
  EXPECT_EQ(head.status, 200);
  EXPECT_EQ(head.minor_version, 1);
  EXPECT_EQ(head.reason, "All is well");
  EXPECT_THAT(head.headers,
              ElementsAre(Pair("Server", "x"), Pair("X-Empty", ""), Pair("X-Spaces", "a  b"),
                          Pair("Content-Length", "3"), Pair("Keep-Alive", "timeout=5"), Pair("keep-alive", "max=7")));
  EXPECT_EQ(head.content_length, 3);
  EXPECT_EQ(head.body, BodyFraming::length);
  EXPECT_TRUE(head.keep_alive);
  EXPECT_EQ(seen.body, "abc");
  EXPECT_EQ(seen.status, ParseStatus::complete);
}

TEST(Http1Parser, GivesTheSameWhereverTheBytesBreak) {
  const std::string bytes =
      "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
      "3\r\nabc\r\n2;x=\"y\"\r\nde\r\n0\r\nX-Sum: 1\r\nX-More: 2\r\n\r\nrest";
  for (std::size_t step = 1; step <= bytes.size(); ++step) {
    const Seen seen = parse_response(bytes, {}, step);
    ASSERT_EQ(seen.status, ParseStatus::complete) << step << " " << seen.error;
    ASSERT_EQ(seen.heads.size(), 2);
    EXPECT_EQ(seen.heads[0].status, 103);
    EXPECT_EQ(seen.heads[1].headers, (Headers{{"Transfer-Encoding", "chunked"}}));
    EXPECT_EQ(seen.body, "abcde");
    EXPECT_THAT(seen.trailers, ElementsAre(Pair("X-Sum", "1"), Pair("X-More", "2")));
    EXPECT_EQ(seen.used, bytes.size() - 4);
  }
}

TEST(Http1Parser, LeavesWhatFollowsAResponse) {
  const Seen seen = parse_response("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nabHTTP/1.1 200 OK\r\n\r\n");
  EXPECT_EQ(seen.status, ParseStatus::complete);
  EXPECT_EQ(seen.body, "ab");
  EXPECT_EQ(seen.used, 40);
}

TEST(Http1Parser, MayBeUsedAgain) {
  Seen seen;
  Http1Parser parser(seen);
  for (int round = 0; round < 3; ++round) {
    parser.start({});
    EXPECT_EQ(parser.feed("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx").status, ParseStatus::complete);
    parser.start({});
    EXPECT_EQ(parser.feed("HTTP/1.1 200 OK\r\nContent-Le").status, ParseStatus::need_more);
    parser.start({});
    EXPECT_EQ(parser.feed("nonsense").status, ParseStatus::failed);
    EXPECT_EQ(parser.feed("HTTP/1.1 200 OK\r\n\r\n").status, ParseStatus::failed);
  }
}

TEST(Http1Parser, AcceptsAStatusLineWithoutReason) {
  for (const std::string line : {"HTTP/1.1 200", "HTTP/1.1 200 ", "HTTP/1.0 200 OK"}) {
    const Seen seen = parse_response(line + "\r\nContent-Length: 0\r\n\r\n");
    EXPECT_EQ(seen.status, ParseStatus::complete) << line << ": " << seen.error;
    EXPECT_EQ(seen.heads.at(0).status, 200);
  }
}

TEST(Http1Parser, SomeResponsesHaveNoBodyWhateverTheySay) {
  const std::string fields = "Content-Length: 123\r\nTransfer-Encoding: chunked\r\n\r\n";
  const auto ends_with_its_head = [&](const std::string& status, const ResponseRules& rules) {
    const Seen seen = parse_response("HTTP/1.1 " + status + " x\r\n" + fields + "5\r\n", rules);
    EXPECT_EQ(seen.status, ParseStatus::complete) << status << " " << seen.error;
    EXPECT_EQ(seen.used, 12 + 3 + fields.size() + 1) << status;
    EXPECT_THAT(seen.body, IsEmpty());
    EXPECT_EQ(seen.heads.back().content_length, 123);
    EXPECT_TRUE(seen.keep_alive);
  };
  ends_with_its_head("200", {.to_head = true});
  ends_with_its_head("204", {});
  ends_with_its_head("304", {});
  ends_with_its_head("101", {});
  EXPECT_EQ(parse_response("HTTP/1.1 403 no\r\nContent-Length: 2\r\n\r\nno", {.tunnel = Tunnel::connect}).body, "no");
}

TEST(Http1Parser, InterimHeadsArePassedOver) {
  const Seen seen = parse_response(
      "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nContent-Length: 9\r\n\r\nHTTP/1.1 204 None\r\n\r\n");
  EXPECT_EQ(seen.status, ParseStatus::complete);
  ASSERT_EQ(seen.heads.size(), 3);
  EXPECT_EQ(seen.heads[1].status, 103);
  EXPECT_EQ(seen.heads[2].status, 204);
}

TEST(Http1Parser, BodyMayEndWithTheConnection) {
  const Seen seen = parse_response("HTTP/1.1 200 OK\r\n\r\nto the end", {}, 3);
  EXPECT_EQ(seen.status, ParseStatus::complete);
  EXPECT_EQ(seen.body, "to the end");
  EXPECT_FALSE(seen.keep_alive);
  EXPECT_EQ(parse_response("HTTP/1.1 200 OK\r\nTransfer-Encoding: identity\r\n\r\nabc").body, "abc");
}

TEST(Http1Parser, KnowsWhetherTheConnectionIsKept) {
  const auto kept = [](const std::string& version, const std::string& fields) {
    return parse_response(version + " 200 OK\r\nContent-Length: 0\r\n" + fields + "\r\n").keep_alive;
  };
  EXPECT_TRUE(kept("HTTP/1.1", ""));
  EXPECT_FALSE(kept("HTTP/1.1", "Connection: close\r\n"));
  EXPECT_FALSE(kept("HTTP/1.1", "connection: Upgrade, CLOSE\r\n"));
  EXPECT_FALSE(kept("HTTP/1.1", "Connection: keep-alive\r\nConnection: close\r\n"));
  EXPECT_TRUE(kept("HTTP/1.1", "X-Connection: close\r\n"));
  EXPECT_FALSE(kept("HTTP/1.0", ""));
  EXPECT_TRUE(kept("HTTP/1.0", "Connection: Keep-Alive\r\n"));
}

TEST(Http1Parser, ListenersMayStopIt) {
  struct Stopper final : ResponseEvents {
    int heads = 0;
    bool body = false;
    bool on_head(ResponseHead&&) override { return --heads > 0; }
    bool on_body(std::string_view) override { return body; }
    bool on_trailers(Headers&&) override { return false; }
  };
  const std::string bytes = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\nA: b\r\n\r\n";
  Stopper stopper;
  Http1Parser parser(stopper);
  parser.start({});
  EXPECT_EQ(parser.feed(bytes).status, ParseStatus::stopped);
  parser.start({});
  stopper.heads = 2;
  EXPECT_EQ(parser.feed(bytes).status, ParseStatus::stopped);
  parser.start({});
  stopper.heads = 2;
  stopper.body = true;
  const ParseResult result = parser.feed(bytes);
  EXPECT_EQ(result.status, ParseStatus::stopped);
  EXPECT_EQ(result.used, bytes.size());
}

TEST(Http1Parser, LimitsAllHeadsOfAResponseTogether) {
  const std::string interim = "HTTP/1.1 103 Early Hints\r\nLink: </aaaaaaaaaaaaaaaaaaaaaaaaaaaa>\r\n\r\n";
  const std::string final_head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
  const std::string end = "0\r\nX: y\r\n\r\n";
  const std::size_t heads = 2 * interim.size() + final_head.size();
  const std::string bytes = interim + interim + final_head + end;
  EXPECT_EQ(parse_response(bytes, {.max_head_bytes = heads + 8}).status, ParseStatus::complete);
  Seen seen = parse_response(bytes, {.max_head_bytes = heads + 7});
  EXPECT_EQ(seen.status, ParseStatus::header_too_large);
  EXPECT_EQ(seen.error, "the trailers are too large");
  for (const std::size_t step : {std::size_t{1}, std::size_t{7}, bytes.size()}) {
    seen = parse_response(bytes, {.max_head_bytes = heads - 1}, step);
    EXPECT_EQ(seen.status, ParseStatus::header_too_large);
    EXPECT_EQ(seen.error, "the head exceeds " + std::to_string(heads - 1) + " bytes");
    EXPECT_EQ(seen.heads.size(), 2);
  }
  std::string endless = "HTTP/1.1 200 OK\r\nX: ";
  endless.append(100'000, 'x');
  EXPECT_EQ(parse_response(endless, {.max_head_bytes = 10'000}, 100).status, ParseStatus::header_too_large);
}

TEST(Http1Parser, LimitsTheNumberOfHeadersAndTrailers) {
  const ResponseRules three{.max_fields = 3};
  EXPECT_EQ(parse_response("HTTP/1.1 204 x\r\nA:\r\nB:\r\nC:\r\n\r\n", three).status, ParseStatus::complete);
  EXPECT_EQ(parse_response("HTTP/1.1 204 x\r\nA:\r\nB:\r\nC:\r\nD:\r\n\r\n", three).error, "more than 3 headers");
  EXPECT_EQ(
      parse_response("HTTP/1.1 200 x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nA:\r\nB:\r\nC:\r\nD:\r\n\r\n", three)
          .error,
      "more than 3 trailers");
}

TEST(Http1Parser, SaysWhatTheEndOfTheConnectionInterrupted) {
  const auto error = [](const std::string& bytes) {
    const Seen seen = parse_response(bytes);
    EXPECT_EQ(seen.status, ParseStatus::failed);
    return seen.error;
  };
  EXPECT_EQ(error(""), "the connection ended before a status line");
  EXPECT_EQ(error("HTTP/1"), "the connection ended within the status line");
  EXPECT_EQ(error("HTTP/1.1 100 Continue\r\n\r\n"), "the connection ended before a status line");
  EXPECT_EQ(error("HTTP/1.1 200 OK\r\nA: b\r\n"), "the connection ended within the head");
  EXPECT_EQ(error("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nab"),
            "the connection ended 3 bytes before the body's end");
  const std::string chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
  EXPECT_EQ(error(chunked), "the connection ended before the last chunk");
  EXPECT_EQ(error(chunked + "3\r\nab"), "the connection ended within a chunk");
  EXPECT_EQ(error(chunked + "3\r\nabc"), "the connection ended within a chunk");
  EXPECT_EQ(error(chunked + "3\r\nabc\r\n"), "the connection ended before the last chunk");
  EXPECT_EQ(error(chunked + "0\r\n"), "the connection ended within the trailers");
}

}  // namespace
}  // namespace conntrace::http
