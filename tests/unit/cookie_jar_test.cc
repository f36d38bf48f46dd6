// SPDX-License-Identifier: Apache-2.0
#include "conntrace/cookie_jar.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <thread>

namespace conntrace {
namespace {

using namespace std::chrono_literals;
using testing::UnorderedElementsAre;

class CookieJarTest : public testing::Test {
 protected:
  bool set(const std::string& url, const std::string& field) {
    return jar.set_cookies(url, {{"Content-Type", "x"}, {"set-cookie", field}}) == 1;
  }
  std::string get(const std::string& url) { return jar.cookies_for(url); }

  std::chrono::sys_seconds now = std::chrono::sys_days(std::chrono::year(2026) / 1 / 1);
  CookieJar jar{{.max_per_site = 5, .max_total = 12, .now = [this] { return now; }}};
};

TEST_F(CookieJarTest, GivesBackWhatItGot) {
  EXPECT_EQ(get("http://a.example/"), "");
  EXPECT_EQ(jar.set_cookies("http://a.example/", {{"Set-Cookie", "a=1"}, {"Set-Cookie", "b=2; HttpOnly"}}), 2);
  EXPECT_EQ(get("http://a.example/"), "a=1; b=2");
  EXPECT_EQ(get("http://a.example:8080/x?y"), "a=1; b=2");
  EXPECT_EQ(get("http://b.example/"), "");
  EXPECT_TRUE(set("http://a.example/", "alone"));
  EXPECT_EQ(get("http://a.example/"), "a=1; b=2; alone");
  jar.clear();
  EXPECT_EQ(get("http://a.example/"), "");
}

TEST_F(CookieJarTest, Domains) {
  EXPECT_TRUE(set("http://www.shop.example/", "host=1"));
  EXPECT_TRUE(set("http://www.shop.example/", "domain=1; Domain=shop.example"));
  EXPECT_EQ(get("http://www.shop.example/"), "host=1; domain=1");
  EXPECT_EQ(get("http://a.www.shop.example/"), "domain=1");
  EXPECT_EQ(get("http://shop.example/"), "domain=1");
  EXPECT_EQ(get("http://SHOP.example./"), "domain=1");
  EXPECT_EQ(get("http://notshop.example/"), "");
  EXPECT_FALSE(set("http://www.shop.example/", "x=1; Domain=other.example"));
  EXPECT_FALSE(set("http://www.shop.example/", "x=1; Domain=a.www.shop.example"));
  EXPECT_FALSE(set("http://www.shop.example/", "x=1; Domain=op.example"));
  EXPECT_TRUE(set("http://www.shop.example/", "self=1; Domain=www.shop.example"));
  EXPECT_EQ(get("http://a.www.shop.example/"), "domain=1; self=1");
}

TEST_F(CookieJarTest, NobodySetsCookiesForAPublicSuffix) {
  EXPECT_FALSE(set("http://shop.co.uk/", "x=1; Domain=co.uk"));
  EXPECT_FALSE(set("http://shop.co.uk/", "x=1; Domain=uk"));
  EXPECT_FALSE(set("http://me.github.io/", "x=1; Domain=github.io"));
  EXPECT_FALSE(set("http://a.internal/", "x=1; Domain=internal"));
  EXPECT_TRUE(set("http://shop.co.uk/", "x=1; Domain=shop.co.uk"));
  // A host that is a suffix may set one for itself.
  EXPECT_TRUE(set("http://localhost/", "x=1; Domain=localhost"));
  EXPECT_EQ(get("http://localhost/"), "x=1");
  EXPECT_EQ(get("http://a.localhost/"), "");
}

TEST_F(CookieJarTest, AddressesAreNoDomains) {
  EXPECT_FALSE(set("http://127.0.0.1/", "x=1; Domain=0.0.1"));
  EXPECT_TRUE(set("http://127.0.0.1/", "x=1; Domain=127.0.0.1"));
  EXPECT_EQ(get("http://127.0.0.1:81/"), "x=1");
  EXPECT_EQ(get("http://1.127.0.0.1/"), "");
  EXPECT_TRUE(set("http://[::1]/", "y=1"));
  EXPECT_EQ(get("http://[::1]/"), "y=1");
}

TEST_F(CookieJarTest, InternationalNamesAreTheirAscii) {
  EXPECT_TRUE(
      set("http://b\xc3\xbc"
          "cher.example/",
          "x=1"));
  EXPECT_EQ(get("http://xn--bcher-kva.example/"), "x=1");
}

TEST_F(CookieJarTest, PathsAndOrder) {
  EXPECT_TRUE(set("http://a.example/shop/cart?x=/y/z", "short=1"));
  EXPECT_TRUE(set("http://a.example/", "root=1"));
  EXPECT_TRUE(set("http://a.example/", "long=1; Path=/shop/cart"));
  EXPECT_TRUE(set("http://a.example/", "slash=1; Path=/shop/"));
  EXPECT_EQ(get("http://a.example/shop/cart/1"), "long=1; slash=1; short=1; root=1");
  EXPECT_EQ(get("http://a.example/shop"), "short=1; root=1");
  EXPECT_EQ(get("http://a.example/shopping"), "root=1");
  EXPECT_EQ(get("http://a.example/shop/cartoon"), "slash=1; short=1; root=1");
}

TEST_F(CookieJarTest, ReplacingKeepsTheAge) {
  EXPECT_TRUE(set("http://a.example/", "a=1"));
  EXPECT_TRUE(set("http://a.example/", "b=1"));
  EXPECT_TRUE(set("http://a.example/", "a=2"));
  EXPECT_EQ(get("http://a.example/"), "a=2; b=1");
}

TEST_F(CookieJarTest, CookiesExpireByTheWallClock) {
  EXPECT_TRUE(set("http://a.example/", "a=1; Max-Age=60"));
  EXPECT_TRUE(set("http://a.example/", "b=1; Expires=Thu, 01 Jan 2026 00:02:00 GMT"));
  EXPECT_EQ(get("http://a.example/"), "a=1; b=1");
  now += 60s;
  EXPECT_EQ(get("http://a.example/"), "b=1");
  EXPECT_EQ(jar.cookies().size(), 1);
  now += 60s;
  EXPECT_EQ(get("http://a.example/"), "");
  EXPECT_TRUE(set("http://a.example/", "c=1"));
  EXPECT_TRUE(set("http://a.example/", "c=; Max-Age=0"));
  EXPECT_TRUE(jar.cookies().empty());
}

TEST_F(CookieJarTest, SecureOnesStayWithHttps) {
  EXPECT_FALSE(set("http://a.example/", "s=0; Secure"));
  EXPECT_TRUE(set("https://a.example/", "s=1; Secure; Domain=a.example"));
  EXPECT_EQ(get("http://a.example/"), "");
  EXPECT_EQ(get("https://a.example/"), "s=1");
  // Over http nobody may put another one before it.
  EXPECT_FALSE(set("http://a.example/", "s=2"));
  EXPECT_FALSE(set("http://b.a.example/", "s=2; Path=/deeper"));
  EXPECT_TRUE(set("http://a.example/", "other=2"));
  EXPECT_TRUE(set("https://a.example/", "s=3"));
  EXPECT_FALSE(set("http://a.example/", "n=1; SameSite=None"));
  EXPECT_TRUE(set("https://a.example/", "n=1; SameSite=None; Secure"));
}

TEST_F(CookieJarTest, PrefixesKeepTheirPromise) {
  EXPECT_FALSE(set("https://a.example/", "__Secure-x=1"));
  EXPECT_TRUE(set("https://a.example/", "__Secure-x=1; Secure"));
  EXPECT_FALSE(set("https://a.example/", "__Host-x=1; Secure"));
  EXPECT_FALSE(set("https://a.example/", "__Host-x=1; Path=/"));
  EXPECT_FALSE(set("https://a.example/", "__host-x=1; Secure; Path=/; Domain=a.example"));
  EXPECT_FALSE(set("https://a.example/", "__Host-x=1; Secure; Path=/deeper"));
  EXPECT_TRUE(set("https://a.example/", "__Host-x=1; Secure; Path=/"));
  EXPECT_FALSE(set("https://a.example/", "=__Host-x=1; Secure"));
  EXPECT_FALSE(set("https://a.example/", "__secure-x"));
}

TEST_F(CookieJarTest, ASiteMakesRoomByItself) {
  EXPECT_TRUE(set("https://a.shop.example/", "secure=1; Secure; Domain=shop.example"));
  for (int i = 0; i < 4; ++i) {
    EXPECT_TRUE(set("https://h" + std::to_string(i) + ".shop.example/", "n=" + std::to_string(i)));
  }
  EXPECT_NE(get("https://h0.shop.example/"), "");  // used: h1's is the oldest now
  EXPECT_TRUE(set("https://h9.shop.example/", "n=9"));
  EXPECT_EQ(get("https://h1.shop.example/"), "secure=1");
  EXPECT_EQ(get("https://h0.shop.example/"), "secure=1; n=0");
  EXPECT_EQ(jar.cookies().size(), 5);
}

TEST_F(CookieJarTest, TheWholeIsBounded) {
  for (int i = 0; i < 100; ++i)
    EXPECT_TRUE(set("http://s" + std::to_string(i) + ".example/", "a=" + std::to_string(i)));
  EXPECT_EQ(jar.cookies().size(), 12);
  EXPECT_EQ(get("http://s87.example/"), "");
  EXPECT_EQ(get("http://s88.example/"), "a=88");
}

TEST_F(CookieJarTest, ExpiredOnesGoFirst) {
  EXPECT_TRUE(set("http://a.example/", "soon=1; Max-Age=1"));
  for (int i = 0; i < 4; ++i) EXPECT_TRUE(set("http://a.example/", "n" + std::to_string(i) + "=1"));
  now += 2s;
  EXPECT_TRUE(set("http://a.example/", "new=1"));
  EXPECT_EQ(get("http://a.example/"), "n0=1; n1=1; n2=1; n3=1; new=1");
}

TEST_F(CookieJarTest, NoUrlNoCookies) {
  EXPECT_FALSE(set("not a url", "a=1"));
  EXPECT_EQ(get("not a url"), "");
}

TEST(CookieJarThreads, ManyMayUseIt) {
  CookieJar jar;
  std::vector<std::thread> threads;
  std::atomic<int> found = 0;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&jar, &found, t] {
      const std::string url = "http://t" + std::to_string(t) + ".example/";
      for (int i = 0; i < 500; ++i) {
        jar.set_cookies(url, {{"Set-Cookie", "n=" + std::to_string(i)}});
        if (jar.cookies_for(url) == "n=" + std::to_string(i)) ++found;
        if (i % 100 == 0) static_cast<void>(jar.cookies());
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(found, 2000);
}

}  // namespace
}  // namespace conntrace
