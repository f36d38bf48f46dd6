// SPDX-License-Identifier: Apache-2.0
// What the parser refuses, and the words it has for it.
#include <gtest/gtest.h>

#include "tests/unit/http1_responses.h"

namespace conntrace::http {
namespace {

struct Refusal {
  std::string bytes;
  std::string error;
};

void expect_refused(const std::vector<Refusal>& refusals, const ResponseRules& rules = {}) {
  for (const auto& [bytes, error] : refusals) {
    for (const std::size_t step : {std::size_t{1}, std::size_t{5}, std::string::npos}) {
      const Seen seen = parse_response(bytes, rules, step);
      EXPECT_EQ(seen.status, ParseStatus::failed) << testing::PrintToString(bytes) << " in steps of " << step;
      EXPECT_EQ(seen.error, error) << testing::PrintToString(bytes) << " in steps of " << step;
    }
  }
}

/// A head with these fields.
std::string head(std::string_view fields) { return "HTTP/1.1 200 OK\r\n" + std::string(fields) + "\r\n\r\n"; }
std::string chunked(std::string_view body) { return head("Transfer-Encoding: chunked") + std::string(body); }
std::string with_nul(std::string text) {
  text[text.find('@')] = '\0';
  return text;
}

TEST(Http1Strictness, WhatIsNotHttp) {
  for (const std::string bytes : {"\r\nHTTP/1.1 200 OK\r\n\r\n", "HTTP/2 200\r\n\r\n", "http/1.1 200 OK\r\n\r\n",
                                  "HTP/1.1 200 OK\r\n\r\n", "SSH-2.0-OpenSSH_9.2\r\n", " HTTP/1.1 200 OK\r\n\r\n",
                                  "\x15\x03\x03\x02\x28", "\n\n", "HTTP/11 200 OK\r\n\r\n"}) {
    const Seen seen = parse_response(bytes);
    EXPECT_EQ(seen.status, ParseStatus::failed);
    EXPECT_EQ(seen.error.find("the response does not begin with HTTP/1. but with \""), 0) << seen.error;
  }
  // It is refused at the first wrong byte: the peer may never send a line feed.
  Seen seen;
  Http1Parser parser(seen);
  parser.start({});
  EXPECT_EQ(parser.feed("HT").status, ParseStatus::need_more);
  EXPECT_EQ(parser.feed("P").status, ParseStatus::failed);
  EXPECT_EQ(parser.error(), R"(the response does not begin with HTTP/1. but with "HTP")");
  EXPECT_EQ(parse_response("\x15\x03\x03").error,
            R"(the response does not begin with HTTP/1. but with "\x15\x03\x03")");
}

TEST(Http1Strictness, SettingsFrameOfAnHttp2Server) {
  const std::string frame("\0\0\x06\x04\0\0\0\0\0\0\x03\0\0\0\x64", 15);
  const std::string empty("\0\0\0\x04\0\0\0\0\0", 9);
  for (const std::string& bytes : {frame, empty, frame + "\r\n", frame.substr(0, 11) + "\n"}) {
    for (const std::size_t step : {std::size_t{1}, std::size_t{5}, std::string::npos}) {
      const Seen seen = parse_response(bytes, {}, step);
      EXPECT_EQ(seen.status, ParseStatus::not_http1);
      EXPECT_EQ(seen.error, "the server spoke HTTP/2: its first bytes are a SETTINGS frame");
    }
  }
  // Nearly one: another type, flags, a stream, a length that no parameters have, not the whole of its head.
  for (const std::size_t wrong : {1, 2, 3, 4, 8}) {
    std::string bytes = frame;
    bytes[wrong] = '\x05';
    EXPECT_EQ(parse_response(bytes).status, ParseStatus::failed) << wrong;
  }
  EXPECT_EQ(parse_response(frame.substr(0, 8)).error, "the connection ended within the status line");
  EXPECT_EQ(parse_response(frame.substr(0, 3) + "\r\n").status, ParseStatus::failed);
}

TEST(Http1Strictness, StatusLine) {
  const std::string version = "an HTTP version that is neither 1.0 nor 1.1: ";
  const std::string status = "a status that is not a number from 100 to 999: ";
  expect_refused({
      {"HTTP/1.2 200 OK\r\n\r\n", version + "\"HTTP/1.2 200 OK\""},
      {"HTTP/1.10 200 OK\r\n\r\n", version + "\"HTTP/1.10 200 OK\""},
      {"HTTP/1.\r\n\r\n", version + "\"HTTP/1.\""},
      {"HTTP/1.1\t200 OK\r\n\r\n", version + "\"HTTP/1.1\\x09200 OK\""},
      {"HTTP/1.1\r\n\r\n", status + "\"HTTP/1.1\""},
      {"HTTP/1.1 \r\n\r\n", status + "\"HTTP/1.1 \""},
      {"HTTP/1.1  200 OK\r\n\r\n", status + "\"HTTP/1.1  200 OK\""},
      {"HTTP/1.1 20 OK\r\n\r\n", status + "\"HTTP/1.1 20 OK\""},
      {"HTTP/1.1 2000 OK\r\n\r\n", status + "\"HTTP/1.1 2000 OK\""},
      {"HTTP/1.1 099 OK\r\n\r\n", status + "\"HTTP/1.1 099 OK\""},
      {"HTTP/1.1 -20 OK\r\n\r\n", status + "\"HTTP/1.1 -20 OK\""},
      {"HTTP/1.1 200OK\r\n\r\n", status + "\"HTTP/1.1 200OK\""},
      {"HTTP/1.1 200 O\rK\r\n\r\n", R"(control character "\x0d" in the status line)"},
      {with_nul("HTTP/1.1 200 O@K\r\n\r\n"), R"(control character "\x00" in the status line)"},
      {"HTTP/1.1 200 OK\n\r\n", "a header line that ends in a bare line feed"},
  });
}

TEST(Http1Strictness, HeaderLines) {
  expect_refused({
      {head("A: b\nC: d"), "a header line that ends in a bare line feed"},
      {"HTTP/1.1 200 OK\r\nA: b\r\n\n", "a header line that ends in a bare line feed"},
      {head("A: b\rC: d"), R"(a carriage return without line feed in the value of header "A")"},
      {head("A: b\r\r"), R"(a carriage return without line feed in the value of header "A")"},
      {head("A\r: b"), R"(character "\x0d" in a header name after "A")"},
      {head("A: b\r\n c"), "a header line begins with white space (obsolete line folding)"},
      {head("A: b\r\n\tc"), "a header line begins with white space (obsolete line folding)"},
      {head(" A: b"), "a header line begins with white space (obsolete line folding)"},
      {head("Foo : bar"), R"(white space before the colon of header "Foo")"},
      {head("Foo\t: bar"), R"(white space before the colon of header "Foo")"},
      {head("Foo bar: x"), R"(character " " in a header name after "Foo")"},
      {head("F@o: x"), R"(character "@" in a header name after "F")"},
      {head("F\xc3\xb6: x"), R"(character "\xc3" in a header name after "F")"},
      {head(with_nul("F@o: x")), R"(character "\x00" in a header name after "F")"},
      {head(": x"), "a header without a name"},
      {head("no-colon"), R"(a header line without a colon: "no-colon")"},
      {head(with_nul("A: b@c")), R"(NUL in the value of header "A")"},
      {head("A: a longer value with a \x01 in it"), R"(control character "\x01" in the value of header "A")"},
      {head("A: \x7f"), R"(control character "\x7f" in the value of header "A")"},
  });
  EXPECT_EQ(parse_response(head("A: \xc3\xb6 \xff\r\nB: tab\tinside\r\nContent-Length: 0")).status,
            ParseStatus::complete);
}

TEST(Http1Strictness, ContentLength) {
  expect_refused({
      {head("Content-Length: 1\r\nContent-Length: 2"), "two different Content-Lengths, 1 and 2"},
      {head("Content-Length: 1, 2"), "two different Content-Lengths, 1 and 2"},
      {head("Content-Length: +1"), R"(Content-Length "+1" is not a number)"},
      {head("Content-Length: -1"), R"(Content-Length "-1" is not a number)"},
      {head("Content-Length: 0x1"), R"(Content-Length "0x1" is not a number)"},
      {head("Content-Length: 1 1"), R"(Content-Length "1 1" is not a number)"},
      {head("Content-Length: 1,"), R"(Content-Length "1," is not a number)"},
      {head("Content-Length:"), R"(Content-Length "" is not a number)"},
      {head("Content-Length: 1.0"), R"(Content-Length "1.0" is not a number)"},
      {head("Content-Length: 9223372036854775808"), R"(Content-Length "9223372036854775808" is too large)"},
      {head("Content-Length: 18446744073709551617"), R"(Content-Length "18446744073709551617" is too large)"},
  });
  expect_refused({{head("Content-Length: x"), R"(Content-Length "x" is not a number)"}}, {.to_head = true});
  for (const std::string fields : {"Content-Length: 2\r\ncontent-length: 2", "Content-Length: 2, 2",
                                   "Content-Length: 02", "Content-Length: 2\r\nContent-Length: 2,2"}) {
    const Seen seen = parse_response(head(fields) + "ab");
    EXPECT_EQ(seen.status, ParseStatus::complete) << seen.error;
    EXPECT_EQ(seen.body, "ab");
  }
}

TEST(Http1Strictness, TransferEncoding) {
  const std::string only = "; only chunked is understood";
  expect_refused({
      {head("Content-Length: 5\r\nTransfer-Encoding: chunked"), "both Transfer-Encoding and Content-Length"},
      {head("Transfer-Encoding: chunked\r\nContent-Length: 5"), "both Transfer-Encoding and Content-Length"},
      {head("Transfer-Encoding: identity\r\nContent-Length: 5"), "both Transfer-Encoding and Content-Length"},
      {head("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked"), "Transfer-Encoding twice"},
      {head("Transfer-Encoding: identity\r\nTransfer-Encoding: chunked"), "Transfer-Encoding twice"},
      {head("Transfer-Encoding: gzip, chunked"), "Transfer-Encoding \"gzip, chunked\"" + only},
      {head("Transfer-Encoding: chunked, identity"), "Transfer-Encoding \"chunked, identity\"" + only},
      {head("Transfer-Encoding: xchunked"), "Transfer-Encoding \"xchunked\"" + only},
      {head("Transfer-Encoding:\x0b"
            "chunked"),
       R"(control character "\x0b" in the value of header "Transfer-Encoding")"},
      {head("Transfer-Encoding:"), "Transfer-Encoding \"\"" + only},
      {"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", "Transfer-Encoding in an HTTP/1.0 response"},
  });
  EXPECT_EQ(parse_response(head("transfer-encoding:  CHUNKED ") + "0\r\n\r\n").status, ParseStatus::complete);
}

TEST(Http1Strictness, Chunks) {
  const std::string size = " is not a hexadecimal number";
  const std::string no_end = "a chunk is not followed by CRLF but by ";
  expect_refused({
      {chunked("x\r\n"), "chunk size \"x\"" + size},
      {chunked("\r\n"), "chunk size \"\"" + size},
      {chunked("-1\r\n"), "chunk size \"-1\"" + size},
      {chunked("+1\r\na\r\n"), "chunk size \"+1\"" + size},
      {chunked("0x1\r\na\r\n"), "chunk size \"0x1\"" + size},
      {chunked(" 1\r\na\r\n"), "chunk size \" 1\"" + size},
      {chunked("1 \r\na\r\n"), "chunk size \"1 \"" + size},
      {chunked("1 x\r\na\r\n"), "chunk size \"1 x\"" + size},
      {chunked("00000000000000001\r\n"), R"(chunk size "00000000000000001" is too large)"},
      {chunked("10000000000000000\r\n"), R"(chunk size "10000000000000000" is too large)"},
      {chunked("1\na\r\n"), "a chunk size line that ends in a bare line feed"},
      {chunked("1;a=\x01\r\na\r\n"), R"(a control character in chunk extension ";a=\x01")"},
      {chunked("1;a=b\rc\r\na\r\n"), R"(a control character in chunk extension ";a=b\x0dc")"},
      {chunked("1\r\nab\r\n"), no_end + "\"b\""},
      {chunked("1\r\na\n"), no_end + R"("\x0a")"},
      {chunked("1\r\na\rb"), no_end + "\"b\""},
      {chunked("1;" + std::string(5000, 'x') + "\r\na\r\n"), "a chunk size line of more than 4096 bytes"},
      {chunked("0\r\nA: b\n\r\n"), "a trailer line that ends in a bare line feed"},
      {chunked("0\r\n\n"), "a trailer line that ends in a bare line feed"},
      {chunked("0\r\nA : b\r\n\r\n"), R"(white space before the colon of header "A" (in the trailers))"},
      {chunked("0\r\nContent-Length: 1\r\n\r\n"), "Content-Length as a trailer"},
      {chunked("0\r\ntransfer-encoding: chunked\r\n\r\n"), "transfer-encoding as a trailer"},
  });
  for (const std::string body :
       {"1;x\r\na\r\n0\r\n\r\n", "0001 ; x=\"y z\"\r\na\r\n00\r\n\r\n", "1\r\na\r\n0;last\r\n\r\n"}) {
    const Seen seen = parse_response(chunked(body));
    EXPECT_EQ(seen.status, ParseStatus::complete) << seen.error;
    EXPECT_EQ(seen.body, "a");
  }
  // The greatest size is a number like others; only the data is missing.
  EXPECT_EQ(parse_response(chunked("ffffffffffffffff\r\nabc")).error, "the connection ended within a chunk");
}

TEST(Http1Strictness, ExtensionsMustNotOutweighTheData) {
  std::string thin = chunked("");
  for (int i = 0; i < 100; ++i) thin += "1;" + std::string(1000, 'x') + "\r\na\r\n";
  expect_refused({{thin, "chunk extensions that outweigh the data"}});
  std::string many = chunked("");
  for (int i = 0; i < 100'000; ++i) many += "1\r\na\r\n";
  EXPECT_EQ(parse_response(many + "0\r\n\r\n").body.size(), 100'000);
}

}  // namespace
}  // namespace conntrace::http
