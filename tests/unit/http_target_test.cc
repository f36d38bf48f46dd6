// SPDX-License-Identifier: Apache-2.0
#include "http/target.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace conntrace::http {
namespace {

Target parsed(const std::string& url) {
  auto target = parse_target(url);
  EXPECT_TRUE(target.has_value()) << url << " " << (target ? "" : target.error().message());
  return target.value_or(Target());
}

std::string refused(const std::string& url) {
  const auto target = parse_target(url);
  EXPECT_FALSE(target.has_value()) << url;
  return target ? "" : target.error().context;
}

TEST(Target, TakesAUrlApart) {
  const Target target = parsed("HTTP://User:Pa%20ss@Api.Example:8080/a/b?c=d#part");
  EXPECT_EQ(target.scheme, "http");
  EXPECT_EQ(target.host, "api.example");
  EXPECT_EQ(target.port, 8080);
  EXPECT_EQ(target.host_port, "api.example:8080");
  EXPECT_EQ(target.authority, "api.example:8080");
  EXPECT_EQ(target.path, "/a/b?c=d");
  EXPECT_EQ(target.redacted, "http://api.example:8080/a/b?c=*");
  EXPECT_EQ(target.authorization, "Basic VXNlcjpQYSBzcw==");
  EXPECT_EQ(parsed("http://a").path, "/");
  EXPECT_EQ(parsed("https://a").authority, "a");
  EXPECT_EQ(parsed("https://a").port, 443);
  EXPECT_EQ(parsed("http://a?b").path, "/?b");
  EXPECT_EQ(parsed("http://[::1]:81/").host, "::1");
  EXPECT_EQ(parsed("http://[::1]:81/").authority, "[::1]:81");
  EXPECT_EQ(parsed("http://a").authorization, "");
}

TEST(Target, EncodesWhatARequestLineCannotHold) {
  EXPECT_EQ(parsed("http://a/b c").path, "/b%20c");
  EXPECT_EQ(parsed("http://a/\xc3\xa9").path, "/%c3%a9");
  EXPECT_EQ(parsed("http://a/%7e%zz").path, "/%7e%zz");
}

TEST(Target, InternationalNamesBecomeAscii) {
  EXPECT_EQ(parsed("http://B\xc3\xbc"
                   "cher.example/")
                .host,
            "xn--bcher-kva.example");
  EXPECT_EQ(ascii_host("B\xc3\x9c"
                       "CHER"),
            "xn--bcher-kva");
  EXPECT_EQ(ascii_host("\xff"), std::nullopt);
}

// Go: TestTransportNoHost, TestTransportRejectsAlphaPort.
TEST(Target, RefusesWhatIsNoTarget) {
  for (const std::string url : {"",
                                "http",
                                "http:",
                                "http:a",
                                "http:/a",
                                "http:///a",
                                "http://",
                                "http://:80/",
                                "http://a:port/",
                                "http://a:99999/",
                                "http://a:-1/",
                                "http://a:0/",
                                "http://a b/",
                                "http://a\\b/",
                                "a.example/",
                                "http://a/\x01",
                                "http://a/\r\nX: y",
                                "ftp://a/",
                                "file:///etc/hosts",
                                "//a/b",
                                "http://\xff/",
                                "http://a%00b/",
                                "http://a@b@c/",
                                "http://./",
                                "http://.a/",
                                "http://a..b/",
                                "http://[::1/"}) {
    EXPECT_NE(refused(url), "") << url;
  }
  EXPECT_EQ(refused("http://:80/"), "URL \"http://:80/\": No host part in the URL");
  EXPECT_EQ(refused("ftp://u:secret@a/"), "URL \"ftp://u:***@a/\": scheme must be http or https");
}

// Go: TestStripPasswordFromError.
TEST(Target, PasswordsAreHidden) {
  EXPECT_EQ(without_password("http://user:password@dummy.tld/"), "http://user:***@dummy.tld/");
  EXPECT_EQ(without_password("http://user@dummy.tld/"), "http://user@dummy.tld/");
  EXPECT_EQ(without_password("http://user:@dummy.tld/"), "http://user:***@dummy.tld/");
  EXPECT_EQ(without_password("http://u:p@ss@host"), "http://u:***@host");
  EXPECT_EQ(without_password("http://host:80/a@b:c"), "http://host:80/a@b:c");
  EXPECT_EQ(without_password("http://host/u:p@x"), "http://host/u:p@x");
  EXPECT_EQ(without_password("u:p@host"), "u:***@host");
}

TEST(Target, QueryValuesAreHidden) {
  EXPECT_EQ(redact_query("/a"), "/a");
  EXPECT_EQ(redact_query("/a?b=c&d=e&f"), "/a?b=*&d=*&*");
}

TEST(Target, Base64) {
  EXPECT_EQ(base64(""), "");
  EXPECT_EQ(base64("f"), "Zg==");
  EXPECT_EQ(base64("fo"), "Zm8=");
  EXPECT_EQ(base64("foo"), "Zm9v");
}

}  // namespace
}  // namespace conntrace::http
