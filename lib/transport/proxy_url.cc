// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <cstdlib>

#include "base/curl_handles.h"
#include "conntrace/proxy.h"
#include "transport/socket_facts.h"

namespace conntrace {
namespace {

constexpr std::uint16_t kSocksPort = 1080;
constexpr std::uint16_t kHttpsPort = 443;
constexpr std::uint16_t kHttpPort = 80;

std::optional<std::string> part(CURLU* url, CURLUPart which, unsigned flags = 0) {
  char* text = nullptr;
  if (curl_url_get(url, which, &text, flags) != CURLUE_OK) return std::nullopt;
  const CurlText owned(text);
  return text;
}

/// Nothing before the last @ is shown: it may be a password, also in a URL that does not parse.
Failure bad_proxy(std::string_view url, std::string_view why) {
  const std::size_t at = url.rfind('@');
  const std::string shown = at == std::string_view::npos ? std::string(url) : "***" + std::string(url.substr(at));
  return Failure(make_error(Errc::invalid_request, fmt::format("proxy \"{}\": {}", shown, why)));
}

std::uint16_t default_port(const ProxyUrl& proxy) {
  if (proxy.is_socks()) return kSocksPort;
  return proxy.is_tls() ? kHttpsPort : kHttpPort;
}

std::string escaped(const std::string& text) {
  std::string result;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    result += std::isalnum(byte) != 0 ? std::string(1, c) : fmt::format("%{:02X}", byte);
  }
  return result;
}

}  // namespace

Result<ProxyUrl> parse_proxy_url(std::string_view url) {
  const std::string whole = url.find("://") == std::string_view::npos ? "http://" + std::string(url) : std::string(url);
  const CurlUrl parsed(curl_url());
  const CURLUcode code = curl_url_set(parsed.get(), CURLUPART_URL, whole.c_str(), CURLU_NON_SUPPORT_SCHEME);
  if (code != CURLUE_OK) return bad_proxy(url, curl_url_strerror(code));
  ProxyUrl proxy;
  proxy.scheme = part(parsed.get(), CURLUPART_SCHEME).value_or("");
  const bool known =
      proxy.scheme == "http" || proxy.scheme == "https" || proxy.scheme == "socks5" || proxy.scheme == "socks5h";
  if (!known) return bad_proxy(url, "scheme must be http, https, socks5 or socks5h");
  std::string host = part(parsed.get(), CURLUPART_HOST).value_or("");
  std::transform(host.begin(), host.end(), host.begin(), [](unsigned char c) { return std::tolower(c); });
  if (host.empty()) return bad_proxy(url, "no host");
  const std::string bracketed = host;
  if (host.size() > 2 && host.front() == '[') host = host.substr(1, host.size() - 2);
  proxy.is_address = transport::is_ip_address(host);
  const auto port = part(parsed.get(), CURLUPART_PORT);
  proxy.port = port ? static_cast<std::uint16_t>(std::strtoul(port->c_str(), nullptr, 10)) : default_port(proxy);
  proxy.host_port = fmt::format("{}:{}", bracketed, proxy.port);
  proxy.host = std::move(host);
  proxy.user = part(parsed.get(), CURLUPART_USER, CURLU_URLDECODE);
  proxy.password = part(parsed.get(), CURLUPART_PASSWORD, CURLU_URLDECODE).value_or("");
  return proxy;
}

std::string ProxyUrl::text() const {
  if (!user) return redacted();
  return fmt::format("{}://{}:{}@{}", scheme, escaped(*user), escaped(password), host_port);
}

ProxyFunction fixed_proxy(ProxyUrl proxy) {
  return [proxy = std::move(proxy)](const std::string&) { return std::optional(proxy); };
}

}  // namespace conntrace
