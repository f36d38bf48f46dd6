// SPDX-License-Identifier: Apache-2.0
// Lines: a URL, then Set-Cookie fields of its response; an empty line before the next URL.
#include "client/set_cookie.h"

#include "client/cookie_date.h"
#include "conntrace/cookie_jar.h"
#include "http/syntax.h"
#include "tests/fuzz/targets.h"

namespace conntrace::fuzz {
namespace {

constexpr std::size_t kMaxTotal = 8;
constexpr std::size_t kMaxPerSite = 5;
const std::chrono::sys_seconds kNow = std::chrono::sys_days(std::chrono::year(2026) / 1 / 1);
constexpr std::chrono::seconds kMaxLife = std::chrono::days(400);

void check(CookieJar& jar, const std::string& url) {
  const std::vector<Cookie> cookies = jar.cookies();
  require(cookies.size() <= kMaxTotal, "no more cookies than the limit");
  for (const Cookie& cookie : cookies) {
    require(http::find_control(cookie.name + cookie.value) == std::string::npos, "a cookie has no control character");
    require(cookie.path.starts_with('/') && !cookie.domain.empty(), "a cookie belongs somewhere");
    require(!cookie.expires || (*cookie.expires > kNow && *cookie.expires <= kNow + kMaxLife),
            "a cookie lives, but not forever");
  }
  const std::string sent = jar.cookies_for(url);
  require(http::find_control(sent) == std::string::npos, "what is sent is one field");
}

void run(std::string_view input) {
  CookieJar jar({.max_per_site = kMaxPerSite, .max_total = kMaxTotal, .now = [] { return kNow; }});
  std::string url;
  Headers fields;
  http::split(input, '\n', [&](std::string_view line) {
    static_cast<void>(client::parse_cookie_date(line));
    if (line.empty()) {
      url.clear();
    } else if (url.empty()) {
      url = line;
    } else {
      const std::size_t accepted = jar.set_cookies(url, {{"Set-Cookie", std::string(line)}});
      require(accepted <= 1, "one field sets one cookie");
      if (accepted == 1) require(client::parse_set_cookie(line, kNow).has_value(), "what is stored was read");
      check(jar, url);
    }
  });
}

std::vector<std::string> seeds() {
  return {
      "http://a.example/x/y\na=b\nc=d; Path=/x; Domain=example; HttpOnly\ne=f; Max-Age=60\ne=; Max-Age=0",
      "https://www.shop.co.uk/\n__Host-a=b; Secure; Path=/\n__Secure-c=d; Secure\nx=1; Domain=co.uk\ny=1; "
      "Domain=.shop.co.uk",
      "http://a.example/\nd=e; Expires=Sun, 06 Nov 2026 08:49:37 GMT\nf=g; expires=Sunday, 06-Nov-26 08:49:37 GMT",
      "https://a.example/\ns=1; Secure; SameSite=None\n\nhttp://a.example/\ns=2\nt=3; SameSite=Lax\nvalue alone\n=x",
      "http://./\na=b",
      "http://127.0.0.1/\na=b; Domain=127.0.0.1\n\nhttp://[::1]:80/\nc=d\n\nhttp://localhost/\ne=f; Domain=localhost",
  };
}

}  // namespace

Target set_cookie() { return {"set_cookie", run, seeds}; }

}  // namespace conntrace::fuzz
