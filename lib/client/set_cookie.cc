// SPDX-License-Identifier: Apache-2.0
#include "client/set_cookie.h"

#include <algorithm>
#include <charconv>

#include "client/cookie_date.h"
#include "http/syntax.h"

namespace conntrace::client {
namespace {

using http::iequals;
using http::trim;
using std::chrono::sys_seconds;

constexpr std::size_t kMaxNameAndValue = 4096;
constexpr std::size_t kMaxAttributeValue = 1024;
constexpr std::chrono::seconds kMaxLife = std::chrono::days(400);

/// What Max-Age says; nothing: it is to be ignored.
std::optional<sys_seconds> after_max_age(std::string_view text, sys_seconds now) {
  const bool negative = text.starts_with('-');
  const std::string_view digits = text.substr(negative ? 1 : 0);
  const bool number =
      !digits.empty() && std::all_of(digits.begin(), digits.end(), [](char c) { return c >= '0' && c <= '9'; });
  if (!number) return std::nullopt;
  if (negative) return sys_seconds::min();
  std::int64_t seconds = 0;
  const auto [end, problem] = std::from_chars(digits.data(), digits.data() + digits.size(), seconds);
  if (problem != std::errc()) return now + kMaxLife;  // more than fits
  if (seconds == 0) return sys_seconds::min();
  return now + std::min(std::chrono::seconds(seconds), kMaxLife);
}

SameSite same_site_of(std::string_view text) {
  if (iequals(text, "none")) return SameSite::none;
  if (iequals(text, "lax")) return SameSite::lax;
  if (iequals(text, "strict")) return SameSite::strict;
  return SameSite::unset;
}

/// Of attributes that come more than once the last counts.
struct Attributes {
  std::optional<sys_seconds> by_max_age;
  std::optional<sys_seconds> by_expires;

  void take(std::string_view text, sys_seconds now, SetCookie& cookie) {
    const std::size_t equals = std::min(text.find('='), text.size());
    const std::string_view name = trim(text.substr(0, equals));
    const std::string_view value = equals == text.size() ? std::string_view() : trim(text.substr(equals + 1));
    if (value.size() > kMaxAttributeValue) return;
    if (iequals(name, "expires")) {
      if (const auto date = parse_cookie_date(value)) by_expires = std::min(*date, now + kMaxLife);
    } else if (iequals(name, "max-age")) {
      if (const auto date = after_max_age(value, now)) by_max_age = date;
    } else if (iequals(name, "domain")) {
      cookie.domain = http::lower_case(value.substr(value.starts_with('.') ? 1 : 0));
    } else if (iequals(name, "path")) {
      cookie.path = value.starts_with('/') ? value : std::string_view();
    } else if (iequals(name, "secure")) {
      cookie.secure = true;
    } else if (iequals(name, "httponly")) {
      cookie.http_only = true;
    } else if (iequals(name, "samesite")) {
      cookie.same_site = same_site_of(value);
    }
  }
};

}  // namespace

std::optional<SetCookie> parse_set_cookie(std::string_view field, sys_seconds now) {
  if (http::find_control(field) != std::string_view::npos) return std::nullopt;
  std::size_t end = std::min(field.find(';'), field.size());
  const std::string_view pair = field.substr(0, end);
  const std::size_t equals = pair.find('=');
  SetCookie cookie;
  if (equals != std::string_view::npos) cookie.name = trim(pair.substr(0, equals));
  cookie.value = trim(equals == std::string_view::npos ? pair : pair.substr(equals + 1));
  const std::size_t size = cookie.name.size() + cookie.value.size();
  if (size == 0 || size > kMaxNameAndValue) return std::nullopt;
  Attributes attributes;
  while (end < field.size()) {
    field.remove_prefix(end + 1);
    end = std::min(field.find(';'), field.size());
    attributes.take(field.substr(0, end), now, cookie);
  }
  cookie.expires = attributes.by_max_age ? attributes.by_max_age : attributes.by_expires;
  return cookie;
}

}  // namespace conntrace::client
