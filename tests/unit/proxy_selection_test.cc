// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <cstdlib>

#include "conntrace/proxy_environment.h"

namespace conntrace {
namespace {

/// The proxy's URL, "none", or the error.
std::string chosen(const ProxyFunction& choose, const std::string& url) {
  const auto proxy = choose(url);
  if (!proxy) return "error: " + proxy.error().context;
  return *proxy ? (*proxy)->text() : "none";
}

// Go: TestProxyFromEnvironment.
TEST(ProxySelection, ByTheEnvironment) {
  const struct {
    ProxyEnvironment environment;
    std::string url;
    std::string proxy;
  } rows[] = {
      {{.http_proxy = "127.0.0.1:8080"}, "http://example.com/", "http://127.0.0.1:8080"},
      {{.http_proxy = "cache.corp.example.com:1234"}, "http://example.com/", "http://cache.corp.example.com:1234"},
      {{.http_proxy = "cache.corp.example.com"}, "http://example.com/", "http://cache.corp.example.com:80"},
      {{.http_proxy = "https://cache.corp.example.com"}, "http://example.com/", "https://cache.corp.example.com:443"},
      {{.http_proxy = "http://127.0.0.1:8080"}, "http://example.com/", "http://127.0.0.1:8080"},
      {{.http_proxy = "https://127.0.0.1:8080"}, "http://example.com/", "https://127.0.0.1:8080"},
      {{.http_proxy = "socks5://127.0.0.1"}, "http://example.com/", "socks5://127.0.0.1:1080"},
      {{.http_proxy = "http.proxy", .https_proxy = "secure.proxy"}, "http://insecure.tld/", "http://http.proxy:80"},
      {{.http_proxy = "http.proxy", .https_proxy = "secure.proxy"}, "https://secure.tld/", "http://secure.proxy:80"},
      {{.http_proxy = "http.proxy", .https_proxy = "https://secure.proxy"},
       "https://secure.tld/",
       "https://secure.proxy:443"},
      {{.http_proxy = "http://10.1.2.3:8080", .cgi = true},
       "http://example.com/",
       "error: HTTP_PROXY is refused in a CGI program: it may be the client's header Proxy"},
      {{}, "http://example.com/", "none"},
      {{.http_proxy = "proxy", .no_proxy = "example.com"}, "http://example.com/", "none"},
      {{.http_proxy = "proxy", .no_proxy = ".example.com"}, "http://example.com/", "http://proxy:80"},
      {{.http_proxy = "proxy", .no_proxy = "ample.com"}, "http://example.com/", "http://proxy:80"},
      {{.http_proxy = "proxy", .no_proxy = "example.com"}, "http://foo.example.com/", "none"},
      {{.http_proxy = "proxy", .no_proxy = ".foo.com"}, "http://example.com/", "http://proxy:80"},
      // Beyond Go's table.
      {{.https_proxy = "proxy", .cgi = true}, "https://example.com/", "http://proxy:80"},
      {{.http_proxy = "http://user:pa%40ss@proxy"}, "http://example.com/", "http://user:pa%40ss@proxy:80"},
      {{.all_proxy = "socks5h://all"}, "https://example.com/", "socks5h://all:1080"},
      {{.http_proxy = "proxy", .all_proxy = "socks5h://all"}, "http://example.com/", "http://proxy:80"},
      {{.http_proxy = "ftp://u:secret@proxy"},
       "http://example.com/",
       "error: environment: proxy \"***@proxy\": scheme must be http, https, socks5 or socks5h"},
      {{.http_proxy = "ftp://proxy", .no_proxy = "*"}, "http://example.com/", "none"},
  };
  for (const auto& row : rows) {
    EXPECT_EQ(chosen(proxy_from(row.environment), row.url), row.proxy)
        << row.environment.http_proxy << " " << row.environment.no_proxy << " " << row.url;
  }
}

TEST(ProxySelection, NoProxyMatches) {
  const struct {
    std::string no_proxy;
    std::string host;
    bool direct;
  } rows[] = {
      {"*", "anything.example", true},
      {"a, * ,b", "anything.example", true},
      {"example.com", "EXAMPLE.com", true},
      {"Example.Com", "example.com", true},
      {"example.com", "a.b.example.com", true},
      {"example.com", "notexample.com", false},
      {"*.example.com", "a.example.com", true},
      {"*.example.com", "example.com", false},
      {".example.com", "a.example.com", true},
      {"b\xc3\xbc"
       "cher.example",
       "xn--bcher-kva.example", true},
      {"example.com:80", "example.com", true},
      {"example.com:81", "example.com", false},
      {"example.com:81", "example.com:81", true},
      {".example.com:80", "a.example.com:81", false},
      {":80", "example.com", false},
      {"  , ,", "example.com", false},
      {"10.0.0.1", "10.0.0.1", true},
      {"10.0.0.1", "10.0.0.2", false},
      {"10.0.0.1:80", "10.0.0.1", true},
      {"10.0.0.1:81", "10.0.0.1", false},
      {"10.0.0.0/8", "10.255.0.1", true},
      {"10.0.0.0/8", "11.0.0.1", false},
      {"10.128.0.0/9", "10.127.0.1", false},
      {"10.128.0.0/9", "10.200.0.1", true},
      {"10.0.0.0/33", "10.0.0.1", false},
      {"10.0.0.0/x", "10.0.0.1", false},
      {"0.0.0.0/0", "8.8.8.8", true},
      {"0.0.0.0/0", "[2001:db8::1]", false},
      {"10.0.0.0/8", "ten.example", false},
      {"::1:2", "[::1:2]", true},
      {"[2001:db8::1]", "[2001:db8::1]", true},
      {"[2001:db8::1]:80", "[2001:db8::1]", true},
      {"[2001:db8::1]:81", "[2001:db8::1]", false},
      {"2001:db8::/32", "[2001:db8:ffff::1]", true},
      {"2001:db8::/32", "[2001:db9::1]", false},
      {"10.0.0.1", "[::ffff:10.0.0.1]", true},
      {"0.0.1", "10.0.0.1", false},
      // Never proxied, whatever NO_PROXY says.
      {"", "localhost", true},
      {"", "localhost:8080", true},
      {"", "127.0.0.1", true},
      {"", "127.9.9.9", true},
      {"", "[::1]", true},
      {"", "localhost.example", false},
  };
  for (const auto& row : rows) {
    const ProxyFunction choose = proxy_from({.http_proxy = "proxy", .no_proxy = row.no_proxy});
    EXPECT_EQ(chosen(choose, "http://" + row.host + "/"), row.direct ? "none" : "http://proxy:80")
        << row.no_proxy << " " << row.host;
  }
}

TEST(ProxySelection, ReadsTheEnvironmentWhenItIsAsked) {
  setenv("HTTP_PROXY", "upper:1", 1);
  setenv("http_proxy", "lower:1", 1);
  setenv("HTTPS_PROXY", "", 1);
  setenv("https_proxy", "lower:2", 1);
  setenv("no_proxy", "direct.example", 1);
  for (const char* name : {"NO_PROXY", "ALL_PROXY", "all_proxy", "REQUEST_METHOD"}) unsetenv(name);
  const ProxyFunction choose = proxy_from_environment();
  setenv("HTTP_PROXY", "later:1", 1);
  EXPECT_EQ(chosen(choose, "http://a.example/"), "http://upper:1");
  EXPECT_EQ(chosen(choose, "https://a.example/"), "http://lower:2");
  EXPECT_EQ(chosen(choose, "https://direct.example/"), "none");
  setenv("REQUEST_METHOD", "GET", 1);
  EXPECT_EQ(chosen(proxy_from_environment(), "http://a.example/").find("error: "), 0);
  EXPECT_EQ(chosen(choose, "no url").find("error: "), 0);
}

}  // namespace
}  // namespace conntrace
