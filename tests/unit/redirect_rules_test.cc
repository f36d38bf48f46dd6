// SPDX-License-Identifier: Apache-2.0
#include "client/redirect_rules.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace conntrace::client {
namespace {

// Go: TestClientRedirectTypes.
TEST(RedirectRules, MethodsAndCodes) {
  const struct {
    std::string method;
    int status;
    std::string next;
  } rows[] = {
      {"POST", 301, "GET"},        {"POST", 302, "GET"},        {"POST", 303, "GET"},      {"POST", 307, "POST"},
      {"POST", 308, "POST"},       {"HEAD", 301, "HEAD"},       {"HEAD", 302, "HEAD"},     {"HEAD", 303, "HEAD"},
      {"HEAD", 307, "HEAD"},       {"HEAD", 308, "HEAD"},       {"GET", 301, "GET"},       {"GET", 302, "GET"},
      {"GET", 303, "GET"},         {"GET", 307, "GET"},         {"GET", 308, "GET"},       {"DELETE", 301, "GET"},
      {"DELETE", 302, "GET"},      {"DELETE", 303, "GET"},      {"DELETE", 307, "DELETE"}, {"DELETE", 308, "DELETE"},
      {"PUT", 301, "GET"},         {"PUT", 302, "GET"},         {"PUT", 303, "GET"},       {"PUT", 307, "PUT"},
      {"PUT", 308, "PUT"},         {"OPTIONS", 301, "GET"},     {"OPTIONS", 302, "GET"},   {"OPTIONS", 303, "GET"},
      {"OPTIONS", 307, "OPTIONS"}, {"OPTIONS", 308, "OPTIONS"},
  };
  for (const auto& row : rows) {
    const auto next = redirect_method(row.status, row.method, false, false);
    ASSERT_TRUE(next.has_value()) << row.method << " " << row.status;
    EXPECT_EQ(next->method, row.next) << row.method << " " << row.status;
    EXPECT_EQ(next->keeps_body, row.status >= 307);
  }
}

TEST(RedirectRules, OtherCodesAreNoRedirects) {
  for (const int status : {200, 300, 304, 305, 306, 399, 404})
    EXPECT_FALSE(redirect_method(status, "GET", false, true));
}

// Go: TestClientRedirect308NoGetBody.
TEST(RedirectRules, ABodyThatCannotBeSentAgainEndsTheChain) {
  for (const int status : {307, 308}) {
    EXPECT_FALSE(redirect_method(status, "POST", true, false));
    EXPECT_TRUE(redirect_method(status, "POST", true, true));
  }
  EXPECT_TRUE(redirect_method(302, "POST", true, false));
}

TEST(RedirectRules, LocationsResolveAsRfc3986Says) {
  const struct {
    std::string location;
    std::string url;
  } rows[] = {
      {"http://g/h", "http://g/h"},
      {"g", "http://a/b/c/g"},
      {"./g", "http://a/b/c/g"},
      {"g/", "http://a/b/c/g/"},
      {"/g", "http://a/g"},
      {"//g", "http://g/"},
      {"?y", "http://a/b/c/d;p?y"},
      {"g?y", "http://a/b/c/g?y"},
      {"#s", "http://a/b/c/d;p?q#s"},
      {"g#s", "http://a/b/c/g#s"},
      {"g?y#s", "http://a/b/c/g?y#s"},
      {";x", "http://a/b/c/;x"},
      {"g;x", "http://a/b/c/g;x"},
      {"", "http://a/b/c/d;p?q"},
      {".", "http://a/b/c/"},
      {"./", "http://a/b/c/"},
      {"..", "http://a/b/"},
      {"../g", "http://a/b/g"},
      {"../..", "http://a/"},
      {"../../../g", "http://a/g"},
      {"/./g", "http://a/g"},
      {"g.", "http://a/b/c/g."},
      {"..g", "http://a/b/c/..g"},
      {"./g/.", "http://a/b/c/g/"},
      {"g/../h", "http://a/b/c/h"},
      {"g;x=1/./y", "http://a/b/c/g;x=1/y"},
      {"g?y/../x", "http://a/b/c/g?y/../x"},
      {"g#s/../x", "http://a/b/c/g#s/../x"},
      {"/x?u=http://y/../z", "http://a/x?u=http://y/../z"},
      {"/a b", "http://a/a%20b"},
      {"/\xc3\xa9", "http://a/%c3%a9"},
      {"https://u:p@z:1/x", "https://u:p@z:1/x"},
      {"HTTP://Z/x", "http://Z/x"},
  };
  for (const auto& row : rows) {
    const auto resolved = resolve_location("http://a/b/c/d;p?q", row.location);
    ASSERT_TRUE(resolved.has_value()) << row.location << " " << resolved.error().message();
    EXPECT_EQ(*resolved, row.url) << row.location;
  }
}

TEST(RedirectRules, TheFragmentIsInherited) {
  EXPECT_EQ(resolve_location("http://a/b#top", "c").value(), "http://a/c#top");
  EXPECT_EQ(resolve_location("http://a/b#top", "c#end").value(), "http://a/c#end");
  EXPECT_EQ(resolve_location("http://a/b#top", "").value(), "http://a/b#top");
}

TEST(RedirectRules, RefusesLocationsThatLeadNowhere) {
  const auto refused = [](const std::string& location) {
    const auto resolved = resolve_location("http://a/b", location);
    EXPECT_FALSE(resolved.has_value()) << location;
    return resolved ? "" : resolved.error().context;
  };
  EXPECT_EQ(refused("ftp://u:secret@b/"), R"(Location "ftp://u:***@b/": scheme must be http or https)");
  EXPECT_EQ(refused("mailto:x"), R"(Location "mailto:x": scheme must be http or https)");
  EXPECT_EQ(refused("http://a:b/"),
            R"(Location: URL "http://a:b/": Port number was not a decimal number between 0 and 65535)");
  for (const std::string location : {"javascript:alert(1)", "http:///x", "http://", "/a\r\nb", "http://a b/", "//"}) {
    EXPECT_NE(refused(location), "") << location;
  }
}

TEST(RedirectRules, KnowsARelativeLocation) {
  for (const std::string relative : {"", "a", "/a", "//a/b", "?a", "#a", "a/b:c", "./a:b"})
    EXPECT_TRUE(is_relative(relative));
  for (const std::string absolute : {"http://a", "a:b", "HTTPS://a"}) EXPECT_FALSE(is_relative(absolute));
}

// Go: TestReferer.
TEST(RedirectRules, Referer) {
  EXPECT_EQ(referer("http://gopher@test.com", "http://link.com", ""), "http://test.com/");
  EXPECT_EQ(referer("https://gopher@test.com", "https://link.com", ""), "https://test.com/");
  EXPECT_EQ(referer("http://gopher:go@test.com/a?b#c", "http://link.com", ""), "http://test.com/a?b");
  EXPECT_EQ(referer("https://test.com", "http://link.com", ""), "");
  EXPECT_EQ(referer("http://test.com", "https://link.com", ""), "http://test.com/");
  EXPECT_EQ(referer("http://test.com", "http://link.com", "http://mine/"), "http://mine/");
  EXPECT_EQ(referer("https://test.com", "http://link.com", "http://mine/"), "");
}

// Go: TestShouldCopyHeaderOnRedirect.
TEST(RedirectRules, SecretsStayWithTheHostAndItsSubdomains) {
  EXPECT_TRUE(may_carry_secrets("http://foo.com/", "http://foo.com/x"));
  EXPECT_TRUE(may_carry_secrets("http://foo.com/", "https://FOO.com:8443/"));
  EXPECT_TRUE(may_carry_secrets("http://foo.com/", "http://sub.foo.com/"));
  EXPECT_FALSE(may_carry_secrets("http://sub.foo.com/", "http://foo.com/"));
  EXPECT_FALSE(may_carry_secrets("http://foo.com/", "http://notfoo.com/"));
  EXPECT_FALSE(may_carry_secrets("http://foo.com/", "http://foo.com.evil/"));
  EXPECT_TRUE(
      may_carry_secrets("http://b\xc3\xbc"
                        "cher.example/",
                        "http://xn--bcher-kva.example/"));
  EXPECT_TRUE(may_carry_secrets("http://xn--bcher-kva.example/",
                                "http://a.B\xc3\x9c"
                                "CHER.example/"));
  EXPECT_TRUE(may_carry_secrets("http://127.0.0.1/", "http://127.0.0.1:81/"));
  EXPECT_FALSE(may_carry_secrets("http://1/", "http://127.0.0.1/"));
  EXPECT_FALSE(may_carry_secrets("http://[::1]/", "http://[::2]/"));
}

TEST(RedirectRules, FieldsOfTheNextRequest) {
  const Headers first = {{"X-A", "1"},        {"authorization", "s"}, {"Cookie", "s"},    {"Proxy-Authorization", "s"},
                         {"Host", "virtual"}, {"Content-Type", "t"},  {"Referer", "old"}, {"Accept", "*/*"}};
  EXPECT_EQ(redirected_headers(first, {.referer = "http://last/"}),
            (Headers{{"X-A", "1"}, {"Accept", "*/*"}, {"Referer", "http://last/"}}));
  EXPECT_EQ(redirected_headers(first, {.keeps_body = true, .carries_secrets = true, .keeps_host = true}),
            (Headers{{"X-A", "1"},
                     {"authorization", "s"},
                     {"Cookie", "s"},
                     {"Proxy-Authorization", "s"},
                     {"Host", "virtual"},
                     {"Content-Type", "t"},
                     {"Accept", "*/*"}}));
}

TEST(RedirectRules, TheErrorHidesThePassword) {
  const Error error = too_many_redirects(kMaxRedirects, "http://u:secret@a/");
  EXPECT_EQ(error.code, Errc::too_many_redirects);
  EXPECT_EQ(error.message(), "http://u:***@a/ (stopped after 10 redirects): too many redirects");
}

}  // namespace
}  // namespace conntrace::client
