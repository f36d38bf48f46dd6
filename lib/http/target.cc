// SPDX-License-Identifier: Apache-2.0
#include "http/target.h"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <netinet/in.h>

#include <algorithm>
#include <cctype>
#include <cstdlib>

#include "base/curl_handles.h"

namespace conntrace::http {
namespace {

std::string part(CURLU* url, CURLUPart which, unsigned flags = 0) {
  char* text = nullptr;
  if (curl_url_get(url, which, &text, flags) != CURLUE_OK) return {};
  const CurlText owned(text);
  return text;
}

/// For error messages: what is between :// and @ may be a password.
std::string without_credentials(const std::string& url) {
  const std::size_t begin = url.find("://");
  const std::size_t at = url.find('@');
  if (begin == std::string::npos || at == std::string::npos || at < begin) return url;
  return url.substr(0, begin + 3) + "***" + url.substr(at);
}

Failure bad_url(const std::string& url, std::string_view why) {
  return Failure(make_error(Errc::invalid_request, fmt::format("URL \"{}\": {}", without_credentials(url), why)));
}

bool is_ip_address(const std::string& host) {
  in6_addr buffer;
  return inet_pton(AF_INET, host.c_str(), &buffer) == 1 || inet_pton(AF_INET6, host.c_str(), &buffer) == 1;
}

}  // namespace

Result<Target> parse_target(const std::string& url) {
  const CurlUrl parsed(curl_url());
  const CURLUcode code = curl_url_set(parsed.get(), CURLUPART_URL, url.c_str(), CURLU_NON_SUPPORT_SCHEME);
  if (code != CURLUE_OK) return bad_url(url, curl_url_strerror(code));
  Target target;
  target.scheme = part(parsed.get(), CURLUPART_SCHEME);
  if (target.scheme != "http" && target.scheme != "https") return bad_url(url, "scheme must be http or https");
  std::string host = part(parsed.get(), CURLUPART_HOST);
  std::transform(host.begin(), host.end(), host.begin(), [](unsigned char c) { return std::tolower(c); });
  const std::string bracketed = host;
  if (host.size() > 2 && host.front() == '[') host = host.substr(1, host.size() - 2);
  const std::string port = part(parsed.get(), CURLUPART_PORT, CURLU_DEFAULT_PORT);
  target.port = static_cast<std::uint16_t>(std::strtoul(port.c_str(), nullptr, 10));
  target.is_address = is_ip_address(host);
  target.host_port = fmt::format("{}:{}", bracketed, target.port);
  const bool default_port = target.port == (target.scheme == "https" ? 443 : 80);
  target.authority = default_port ? bracketed : target.host_port;
  target.host = std::move(host);
  target.path = part(parsed.get(), CURLUPART_PATH);
  if (const std::string query = part(parsed.get(), CURLUPART_QUERY); !query.empty()) target.path += "?" + query;
  target.redacted = fmt::format("{}://{}{}", target.scheme, target.authority, redact_query(target.path));
  return target;
}

std::string redact_query(std::string_view path) {
  const std::size_t mark = path.find('?');
  if (mark == std::string_view::npos) return std::string(path);
  std::string result(path.substr(0, mark + 1));
  std::string_view rest = path.substr(mark + 1);
  while (!rest.empty()) {
    const std::size_t end = std::min(rest.find('&'), rest.size());
    const std::string_view pair = rest.substr(0, end);
    const std::size_t equals = pair.find('=');
    // A part without a name is a value: it is hidden whole.
    result += equals == std::string_view::npos ? "*" : fmt::format("{}=*", pair.substr(0, equals));
    rest.remove_prefix(std::min(end + 1, rest.size()));
    if (!rest.empty()) result += '&';
  }
  return result;
}

}  // namespace conntrace::http
