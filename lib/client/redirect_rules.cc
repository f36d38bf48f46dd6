// SPDX-License-Identifier: Apache-2.0
#include "client/redirect_rules.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "base/curl_handles.h"
#include "http/syntax.h"
#include "http/target.h"

namespace conntrace::client {
namespace {

using http::iequals;

constexpr std::array<std::string_view, 6> kSecrets = {
    "authorization", "cookie", "cookie2", "proxy-authorization", "proxy-authenticate", "www-authenticate"};
constexpr std::array<std::string_view, 5> kOfTheBody = {"content-encoding", "content-language", "content-location",
                                                        "content-type", "expect"};

template <std::size_t n>
bool is_one_of(const std::array<std::string_view, n>& names, std::string_view name) {
  return std::any_of(names.begin(), names.end(), [name](std::string_view other) { return iequals(name, other); });
}

std::string_view fragment_of(std::string_view url) { return url.substr(std::min(url.find('#'), url.size())); }
std::string_view without_fragment(std::string_view url) { return url.substr(0, url.find('#')); }

/// The scheme of RFC 3986 section 3.1, if it begins with one.
std::optional<std::string> scheme_of(std::string_view url) {
  const std::size_t end = url.find_first_of(":/?#");
  if (end == 0 || end == std::string_view::npos || url[end] != ':') return std::nullopt;
  return http::lower_case(url.substr(0, end));
}

Failure bad_location(const std::string& location, std::string_view why) {
  return Failure(make_error(Errc::invalid_request,
                            fmt::format("Location {}: {}", http::quoted(http::without_password(location)), why)));
}

}  // namespace

std::optional<RedirectMethod> redirect_method(int status, std::string_view method, bool has_body,
                                              bool can_resend_body) {
  switch (status) {
    case 301:
    case 302:
    case 303: return RedirectMethod{method == "HEAD" ? "HEAD" : "GET", false};
    case 307:
    case 308:
      if (has_body && !can_resend_body) return std::nullopt;
      return RedirectMethod{std::string(method), true};
    default: return std::nullopt;
  }
}

bool is_relative(std::string_view location) { return !scheme_of(location); }

Result<std::string> resolve_location(const std::string& base, const std::string& location) {
  const auto scheme = scheme_of(location);
  if (scheme && *scheme != "http" && *scheme != "https") return bad_location(location, "scheme must be http or https");
  // libcurl forgives an absolute URL more than parse_target does.
  if (scheme) {
    if (auto target = http::parse_target(location); !target) {
      return Failure(std::move(target).error().within("Location"));
    }
  }
  std::string resolved;
  if (location.empty() || location.front() == '#') {
    // The same document: libcurl would drop the last part of its path.
    resolved = std::string(without_fragment(base)) + location;
  } else {
    const CurlUrl url(curl_url());
    CURLUcode code = curl_url_set(url.get(), CURLUPART_URL, base.c_str(), CURLU_URLENCODE);
    if (code == CURLUE_OK) code = curl_url_set(url.get(), CURLUPART_URL, location.c_str(), CURLU_URLENCODE);
    char* text = nullptr;
    if (code == CURLUE_OK) code = curl_url_get(url.get(), CURLUPART_URL, &text, 0);
    const CurlText owned(text);
    if (code != CURLUE_OK) return bad_location(location, curl_url_strerror(code));
    resolved = text;
  }
  if (location.find('#') == std::string::npos) resolved += fragment_of(base);
  return resolved;
}

std::string referer(const std::string& last_url, const std::string& next_url, std::string_view explicit_one) {
  if (scheme_of(last_url) == "https" && scheme_of(next_url) == "http") return {};
  if (!explicit_one.empty()) return std::string(explicit_one);
  const CurlUrl url(curl_url());
  if (curl_url_set(url.get(), CURLUPART_URL, last_url.c_str(), CURLU_URLENCODE) != CURLUE_OK) return {};
  for (const CURLUPart part : {CURLUPART_USER, CURLUPART_PASSWORD, CURLUPART_FRAGMENT}) {
    curl_url_set(url.get(), part, nullptr, 0);
  }
  char* text = nullptr;
  if (curl_url_get(url.get(), CURLUPART_URL, &text, 0) != CURLUE_OK) return {};
  const CurlText owned(text);
  return text;
}

bool may_carry_secrets(const std::string& first_url, const std::string& next_url) {
  const auto first = http::parse_target(first_url);
  const auto next = http::parse_target(next_url);
  if (!first || !next) return false;
  if (first->host == next->host) return true;
  return !first->is_address && !next->is_address && next->host.ends_with("." + first->host);
}

Headers redirected_headers(const Headers& first, const RedirectedFields& rules) {
  Headers next;
  next.reserve(first.size() + 1);
  for (const auto& field : first) {
    const std::string& name = field.first;
    if (!rules.carries_secrets && is_one_of(kSecrets, name)) continue;
    if (!rules.keeps_body && is_one_of(kOfTheBody, name)) continue;
    if (!rules.keeps_host && iequals(name, "host")) continue;
    if (iequals(name, "referer")) continue;
    next.push_back(field);
  }
  if (!rules.referer.empty()) next.emplace_back("Referer", rules.referer);
  return next;
}

Error too_many_redirects(int followed, const std::string& url) {
  return make_error(Errc::too_many_redirects,
                    fmt::format("{} (stopped after {} redirects)", http::without_password(url), followed));
}

}  // namespace conntrace::client
