// SPDX-License-Identifier: Apache-2.0
#include "transport/destination.h"

#include <gtest/gtest.h>

namespace conntrace::transport {
namespace {

Destination to(const std::string& url, const std::string& proxy = {}) {
  std::optional<ProxyUrl> parsed;
  if (!proxy.empty()) parsed = parse_proxy_url(proxy).value();
  return make_destination(http::parse_target(url).value(), parsed);
}

TEST(ProxyUrl, IsTakenApart) {
  const ProxyUrl proxy = parse_proxy_url("https://us%65r:p%3Aw@Proxy.Example:8443").value();
  EXPECT_EQ(proxy.scheme, "https");
  EXPECT_EQ(proxy.host, "proxy.example");
  EXPECT_EQ(proxy.port, 8443);
  EXPECT_EQ(proxy.host_port, "proxy.example:8443");
  EXPECT_FALSE(proxy.is_address);
  EXPECT_EQ(proxy.user, "user");
  EXPECT_EQ(proxy.password, "p:w");
  EXPECT_EQ(proxy.redacted(), "https://proxy.example:8443");
  EXPECT_EQ(parse_proxy_url(proxy.text()).value(), proxy);
}

TEST(ProxyUrl, DefaultsAreGos) {
  EXPECT_EQ(parse_proxy_url("proxy:3128").value().scheme, "http");
  EXPECT_EQ(parse_proxy_url("http://proxy").value().port, 80);
  EXPECT_EQ(parse_proxy_url("https://proxy").value().port, 443);
  EXPECT_EQ(parse_proxy_url("socks5://proxy").value().port, 1080);
  EXPECT_EQ(parse_proxy_url("socks5h://[::1]:9").value().host_port, "[::1]:9");
  EXPECT_TRUE(parse_proxy_url("127.0.0.1:3128").value().is_address);
}

TEST(ProxyUrl, WhatIsNoneIsRefusedWithoutItsPassword) {
  for (const std::string url :
       {"", "ftp://proxy", "socks4://proxy", "http://", "http://u:secret@:1", "http://p:99999"}) {
    const auto parsed = parse_proxy_url(url);
    ASSERT_FALSE(parsed) << url;
    EXPECT_EQ(parsed.error().code, Errc::invalid_request);
    EXPECT_EQ(parsed.error().message().find("secret"), std::string::npos);
  }
}

TEST(Destination, WithoutProxy) {
  const Destination it = to("https://h.example/a?b");
  EXPECT_EQ(it.key, (pool::Key{"", "https", "h.example:443"}));
  EXPECT_EQ(it.request_target, "/a?b");
  EXPECT_EQ(it.hop, "h.example:443");
  EXPECT_FALSE(it.forwarded());
  EXPECT_FALSE(it.tunnelled());
}

TEST(Destination, HttpThroughAnHttpProxyIsForwarded) {
  const Destination it = to("http://u:p@H.example:8080/a?b", "http://me:mine@proxy:3128");
  EXPECT_TRUE(it.forwarded());
  EXPECT_EQ(it.key, (pool::Key{"http://me:mine@proxy:3128", "http", ""})) << "one bucket for all targets";
  EXPECT_EQ(it.request_target, "http://h.example:8080/a?b") << "credentials of the URL stay here";
  EXPECT_EQ(it.proxy_authorization, "Basic bWU6bWluZQ==");
  EXPECT_EQ(it.hop, "proxy:3128");
  EXPECT_EQ(it.hop_host, "proxy");
  EXPECT_EQ(it.authority, "h.example:8080");
}

TEST(Destination, HttpsThroughAProxyIsTunnelled) {
  for (const std::string proxy : {"http://me:mine@proxy", "https://me:mine@proxy", "socks5://me:mine@proxy"}) {
    const Destination it = to("https://h.example/a", proxy);
    EXPECT_TRUE(it.tunnelled());
    EXPECT_EQ(it.key.authority, "h.example:443");
    EXPECT_EQ(it.request_target, "/a");
    EXPECT_EQ(it.proxy_authorization, "") << "only the proxy may see it";
  }
  EXPECT_TRUE(to("http://h.example/", "socks5h://proxy").tunnelled());
  EXPECT_EQ(to("http://h.example/", "socks5h://proxy").request_target, "/");
}

}  // namespace
}  // namespace conntrace::transport
