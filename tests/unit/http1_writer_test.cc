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

TEST(Http1Writer, PutsHostFirstKeepsTheOrderOfOthersAndAddsNoneTwice) {
  EXPECT_EQ(head_of({.headers = {{"X-B", "1"}, {"host", "other"}, {"x-a", "2"}, {"USER-AGENT", "me"}, {"X-B", "3"}}}),
            "GET /a?b=1 HTTP/1.1\r\nHost: other\r\nX-B: 1\r\nx-a: 2\r\nUSER-AGENT: me\r\nX-B: 3\r\n\r\n");
}

TEST(Http1Writer, AddsInTheOrderOfGo) {
  const ExtraField extra[] = {{"Accept-Encoding", "gzip"}};
  EXPECT_EQ(head_of({.method = "PUT", .headers = {{"X-B", "1"}, {"X-A", "2"}}, .body = "123"},
                    {.target = "/", .authority = "a", .user_agent = "me", .connection_close = true, .extra = extra}),
            "PUT / HTTP/1.1\r\nHost: a\r\nUser-Agent: me\r\nContent-Length: 3\r\nX-B: 1\r\nX-A: 2\r\n"
            "Accept-Encoding: gzip\r\nConnection: close\r\n\r\n");
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

TEST(Http1Writer, NeverSaysItTwice) {
  const auto head = [](const Headers& headers, bool close) {
    return head_of({.headers = headers}, {.target = "/", .authority = "a", .connection_close = close});
  };
  const std::string start = "GET / HTTP/1.1\r\nHost: a\r\n";
  EXPECT_EQ(head({{"Connection", "close"}, {"connection", " Close "}}, true), start + "Connection: close\r\n\r\n");
  // The pool will close it: the server has to know, whatever else the request says.
  EXPECT_EQ(head({{"Connection", "keep-alive"}}, true), start + "Connection: keep-alive\r\nConnection: close\r\n\r\n");
}

TEST(Http1Writer, FramesAStreamedBody) {
  const auto head = [](const StreamedBody& body) {
    return head_of({.method = "PUT"}, {.target = "/", .authority = "a", .streamed = body});
  };
  const std::string start = "PUT / HTTP/1.1\r\nHost: a\r\n";
  EXPECT_EQ(head({.length = 7}), start + "Content-Length: 7\r\n\r\n");
  EXPECT_EQ(head({.length = 0}), start + "Content-Length: 0\r\n\r\n");
  EXPECT_EQ(head({}), start + "Transfer-Encoding: chunked\r\n\r\n");
  EXPECT_EQ(head({.trailers = "X-Sum, X-B"}), start + "Transfer-Encoding: chunked\r\nTrailer: X-Sum, X-B\r\n\r\n");
}

TEST(Http1Writer, WritesChunks) {
  std::string out;
  append_chunk_begin(5, out);
  out.append("hello").append(kChunkEnd);
  append_chunk_begin(0x1f2e3d4c5b, out);
  append_last_chunk({{"X-Sum", "1"}}, out);
  append_last_chunk({}, out);
  EXPECT_EQ(out, "5\r\nhello\r\n1f2e3d4c5b\r\n0\r\nX-Sum: 1\r\n\r\n0\r\n\r\n");
}

TEST(Http1Writer, ExtraFieldsDoNotReplaceTheRequests) {
  const ExtraField extra[] = {{"Accept-Encoding", "gzip"}, {"Authorization", "Basic eA=="}};
  EXPECT_EQ(head_of({.headers = {{"accept-encoding", "br"}}}, {.target = "/", .authority = "a", .extra = extra}),
            "GET / HTTP/1.1\r\nHost: a\r\naccept-encoding: br\r\nAuthorization: Basic eA==\r\n\r\n");
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
  EXPECT_FALSE(fine({.headers = {{"Trailer", "X-Sum"}}}));
  EXPECT_TRUE(fine({.headers = {{"Host", "other:80"}}}));
  EXPECT_TRUE(fine({.headers = {{"Host", "[::1]:80"}}}));
  EXPECT_FALSE(fine({.headers = {{"Host", "other"}, {"host", "other"}}}));
  EXPECT_FALSE(fine({.headers = {{"Host", "user@other"}}}));
  EXPECT_FALSE(fine({.headers = {{"Host", "other/path"}}}));
}

TEST(Http1Writer, SaysWhatItRefuses) {
  const auto why = [](const Request& request) { return check_request(request).error().context; };
  EXPECT_EQ(why({.method = "G T"}), R"(method "G T" is not a token)");
  EXPECT_EQ(why({.headers = {{"X\n", "b"}}}), R"(header name "X\x0a" is not a token)");
  // The value may be a secret.
  EXPECT_EQ(why({.headers = {{"Authorization", "secret\n"}}}),
            R"(header Authorization has a control character in its value, "\x0a")");
}

TEST(Http1Writer, RefusesTrailersThatFrameOrRoute) {
  EXPECT_TRUE(check_trailers({{"X-Sum", "1"}, {"Server-Timing", "a"}}).has_value());
  EXPECT_EQ(check_trailers({{"content-length", "1"}}).error().context, "content-length cannot be a trailer");
  EXPECT_FALSE(check_trailers({{"Transfer-Encoding", "chunked"}}).has_value());
  EXPECT_FALSE(check_trailers({{"Trailer", "x"}}).has_value());
  EXPECT_EQ(check_trailers({{"X-Sum", "1\r\n"}}).error().context,
            R"(trailer X-Sum has a control character in its value, "\x0d")");
  EXPECT_FALSE(check_trailers({{"X Sum", "1"}}).has_value());
}

}  // namespace
}  // namespace conntrace::http
