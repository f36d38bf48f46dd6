// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "conntrace/request.h"

namespace conntrace {

/// The SameSite attribute. It is kept and shown; a client without pages knows no site that a request comes from, so it
/// decides nothing but that `none` needs Secure.
enum class SameSite : std::uint8_t { unset, none, lax, strict };

struct Cookie {
  std::string name;  ///< may be empty
  std::string value;
  std::string domain;  ///< lower case, ASCII, without a leading dot
  std::string path;
  bool host_only = true;  ///< not for subdomains
  bool secure = false;    ///< https only
  bool http_only = false;
  SameSite same_site = SameSite::unset;
  std::optional<std::chrono::sys_seconds> expires;  ///< nothing: as long as the jar lives
};

struct CookieJarOptions {
  std::size_t max_per_site = 180;  ///< of one registrable domain (example.co.uk) with all its subdomains
  std::size_t max_total = 3000;
  /// Wall clock; nothing: the system's.
  std::function<std::chrono::sys_seconds()> now;
};

/// Cookies of responses, for later requests.
///
/// A cookie for a public suffix (co.uk) is refused, by libpsl's list. `__Secure-` and `__Host-` names keep their
/// promises, cookies over http neither set nor replace secure ones, and no cookie lives longer than 400 days. Beyond a
/// limit go expired cookies, then of the site (or of all) those that are not secure, least recently used first.
///
/// Threading: any thread may call. Source: RFC 6265bis (draft 15), sections 5.6 to 5.8; dates as in RFC 6265
/// section 5.1.1.
class CookieJar {
 public:
  explicit CookieJar(CookieJarOptions options = {});
  ~CookieJar();
  CookieJar(const CookieJar&) = delete;
  CookieJar& operator=(const CookieJar&) = delete;

  /// Takes the Set-Cookie fields of a response to `url`; returns how many of them it accepted.
  std::size_t set_cookies(const std::string& url, const Headers& response);
  /// The value of Cookie for a request to `url`: longest path first, then oldest first. Empty: there is none to send.
  [[nodiscard]] std::string cookies_for(const std::string& url);

  /// All that have not expired, in no order.
  [[nodiscard]] std::vector<Cookie> cookies() const;
  void clear();

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace conntrace
