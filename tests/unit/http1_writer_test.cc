// SPDX-License-Identifier: Apache-2.0
#include "http/http1_writer.h"

#include <gtest/gtest.h>

namespace conntrace::http {
namespace {

const HeadOptions kOptions{.target = "/a?b=1", .authority = "api:8080", .user_agent = "conntrace"};

std::string head_of(const Request& request, const HeadOptions& options = kOptions) {
  std::string out;
  const WrittenHead written = append_head(request, options, out);
  EXPECT_EQ(written.bytes, out.size());
  return out;
}

TEST(Http1Writer, AddsWhatARequestNeeds) {
  EXPECT_EQ(head_of({}), "GET /a?b=1 HTTP/1.1\r\nHost: api:8080\r\nUser-Agent: conntrace\r\n\r\n");
  EXPECT_EQ(head_of({}, {.target = "/", .authority = "a"}), "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
}

TEST(Http1Writer, KeepsTheOrderOfFieldsAndAddsNoneTwice) {
  EXPECT_EQ(head_of({.headers = {{"X-B", "1"}, {"host", "other"}, {"x-a", "2"}, {"USER-AGENT", "me"}, {"X-B", "3"}}}),
            "GET /a?b=1 HTTP/1.1\r\nX-B: 1\r\nhost: other\r\nx-a: 2\r\nUSER-AGENT: me\r\nX-B: 3\r\n\r\n");
}

TEST(Http1Writer, SaysTheLengthOfABodyAndOfOneThatIsExpected) {
  EXPECT_EQ(head_of({.method = "DELETE", .body = "12345"}, {.target = "/", .authority = "a"}),
            "DELETE / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n");
  for (const std::string method : {"POST", "PUT", "PATCH"}) {
    EXPECT_EQ(head_of({.method = method}, {.target = "/", .authority = "a"}),
              method + " / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n");
  }
}

TEST(Http1Writer, SaysOnceThatTheConnectionWillClose) {
  const auto closes = [](const Request& request, bool close, const std::string& fields) {
    std::string out;
    const WrittenHead written = append_head(request, {.target = "/", .authority = "a", .connection_close = close}, out);
    EXPECT_EQ(out, "GET / HTTP/1.1\r\nHost: a\r\n" + fields + "\r\n");
    return written.connection_close;
  };
  EXPECT_FALSE(closes({}, false, ""));
  EXPECT_TRUE(closes({}, true, "Connection: close\r\n"));
  EXPECT_TRUE(closes({.headers = {{"connection", "Close"}}}, true, "connection: Close\r\n"));
  EXPECT_TRUE(closes({.headers = {{"Connection", "TE, close"}}}, false, "Connection: TE, close\r\n"));
  EXPECT_TRUE(closes({.headers = {{"Connection", "TE"}, {"Connection", "close"}}}, false,
                     "Connection: TE\r\nConnection: close\r\n"));
}

TEST(Http1Writer, ExpectsA100OnlyForABody) {
  const auto expects = [](const Request& request) {
    std::string out;
    return append_head(request, kOptions, out).expects_continue;
  };
  EXPECT_TRUE(expects({.method = "PUT", .headers = {{"expect", "100-Continue"}}, .body = "x"}));
  EXPECT_FALSE(expects({.method = "PUT", .headers = {{"expect", "100-continue"}}}));
  EXPECT_FALSE(expects({.method = "PUT", .headers = {{"expect", "other"}}, .body = "x"}));
}

TEST(Http1Writer, RefusesWhatWouldBeAnotherMessage) {
  const auto fine = [](const Request& request) { return check_request(request).has_value(); };
  EXPECT_TRUE(fine({.headers = {{"X-A", "b\tc \xc3\xa9"}}}));
  EXPECT_FALSE(fine({.method = ""}));
  EXPECT_FALSE(fine({.method = "GET /x HTTP/1.1\r\n"}));
  EXPECT_FALSE(fine({.headers = {{"", "b"}}}));
  EXPECT_FALSE(fine({.headers = {{"X A", "b"}}}));
  EXPECT_FALSE(fine({.headers = {{"X-A:", "b"}}}));
  EXPECT_FALSE(fine({.headers = {{"X-A", "b\r\nX-B: c"}}}));
  EXPECT_FALSE(fine({.headers = {{"X-A", std::string("b\0c", 3)}}}));
  EXPECT_FALSE(fine({.headers = {{"content-length", "3"}}}));
  EXPECT_FALSE(fine({.headers = {{"Transfer-Encoding", "chunked"}}}));
}

}  // namespace
}  // namespace conntrace::http
