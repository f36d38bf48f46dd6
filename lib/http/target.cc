// SPDX-License-Identifier: Apache-2.0
#include "http/target.h"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <idn2.h>
#include <netinet/in.h>
#include <openssl/evp.h>

#include <algorithm>
#include <cstdlib>

#include "base/curl_handles.h"
#include "http/syntax.h"

namespace conntrace::http {
namespace {

void free_idn_text(char* text) { idn2_free(text); }
using IdnText = Owned<char, free_idn_text>;

std::string part(CURLU* url, CURLUPart which, unsigned flags = 0) {
  char* text = nullptr;
  if (curl_url_get(url, which, &text, flags) != CURLUE_OK) return {};
  const CurlText owned(text);
  return text;
}

Failure bad_url(const std::string& url, std::string_view why) {
  return Failure(make_error(Errc::invalid_request, fmt::format("URL \"{}\": {}", without_password(url), why)));
}

/// libcurl forgives http:/host and http:///host, and makes the path's first part the host.
bool has_authority(std::string_view url) {
  const std::size_t colon = url.find(':');
  return colon != std::string_view::npos && url.substr(colon, 3) == "://" && url.substr(colon + 3, 1) != "/";
}

bool is_ip_address(const std::string& host) {
  in6_addr buffer;
  return inet_pton(AF_INET, host.c_str(), &buffer) == 1 || inet_pton(AF_INET6, host.c_str(), &buffer) == 1;
}

}  // namespace

std::optional<std::string> ascii_host(std::string_view host) {
  std::string lower = lower_case(host);
  if (std::all_of(lower.begin(), lower.end(), [](char c) { return static_cast<unsigned char>(c) < 0x80; }))
    return lower;
  char* ascii = nullptr;
  if (idn2_to_ascii_8z(lower.c_str(), &ascii, IDN2_NFC_INPUT | IDN2_NONTRANSITIONAL) != IDN2_OK) return std::nullopt;
  const IdnText owned(ascii);
  return lower_case(ascii);
}

Result<Target> parse_target(const std::string& url) {
  if (!has_authority(url)) return bad_url(url, "it is not absolute or has no host");
  const CurlUrl parsed(curl_url());
  const CURLUcode code =
      curl_url_set(parsed.get(), CURLUPART_URL, url.c_str(), CURLU_NON_SUPPORT_SCHEME | CURLU_URLENCODE);
  if (code != CURLUE_OK) return bad_url(url, curl_url_strerror(code));
  Target target;
  target.scheme = part(parsed.get(), CURLUPART_SCHEME);
  if (target.scheme != "http" && target.scheme != "https") return bad_url(url, "scheme must be http or https");
  const auto name = ascii_host(part(parsed.get(), CURLUPART_HOST));
  const bool empty_label = !name || name->empty() || name->front() == '.' || name->find("..") != std::string::npos;
  if (empty_label) return bad_url(url, "the host is not a name");
  const std::string& bracketed = *name;
  std::string host = bracketed;
  if (host.size() > 2 && host.front() == '[') host = host.substr(1, host.size() - 2);
  const std::string port = part(parsed.get(), CURLUPART_PORT, CURLU_DEFAULT_PORT);
  target.port = static_cast<std::uint16_t>(std::strtoul(port.c_str(), nullptr, 10));
  if (target.port == 0) return bad_url(url, "port 0");
  target.is_address = is_ip_address(host);
  target.host_port = fmt::format("{}:{}", bracketed, target.port);
  const bool default_port = target.port == (target.scheme == "https" ? 443 : 80);
  target.authority = default_port ? bracketed : target.host_port;
  target.host = std::move(host);
  target.path = part(parsed.get(), CURLUPART_PATH);
  if (const std::string query = part(parsed.get(), CURLUPART_QUERY); !query.empty()) target.path += "?" + query;
  target.redacted = fmt::format("{}://{}{}", target.scheme, target.authority, redact_query(target.path));
  const std::string user = part(parsed.get(), CURLUPART_USER, CURLU_URLDECODE);
  const std::string password = part(parsed.get(), CURLUPART_PASSWORD, CURLU_URLDECODE);
  if (!user.empty() || !password.empty()) target.authorization = "Basic " + base64(user + ":" + password);
  return target;
}

std::string without_password(std::string_view url) {
  const std::size_t scheme = url.find("://");
  const std::size_t begin = scheme == std::string_view::npos ? 0 : scheme + 3;
  const std::string_view authority = url.substr(begin, url.find_first_of("/?#", begin) - begin);
  const std::size_t at = authority.rfind('@');
  const std::size_t colon = authority.find(':');
  if (at == std::string_view::npos || colon > at) return std::string(url);
  return fmt::format("{}:***{}", url.substr(0, begin + colon), url.substr(begin + at));
}

std::string base64(std::string_view bytes) {
  // Four characters for three bytes, and the terminator that OpenSSL adds.
  std::string text(4 * ((bytes.size() + 2) / 3) + 1, '\0');
  EVP_EncodeBlock(reinterpret_cast<unsigned char*>(text.data()), reinterpret_cast<const unsigned char*>(bytes.data()),
                  static_cast<int>(bytes.size()));
  text.pop_back();
  return text;
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
