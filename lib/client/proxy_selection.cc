// SPDX-License-Identifier: Apache-2.0
#include <cstdlib>

#include "client/no_proxy.h"
#include "conntrace/proxy_environment.h"
#include "http/target.h"

namespace conntrace {
namespace {

/// A proxy that was read once, or why it could not be.
using Choice = Result<std::optional<ProxyUrl>>;

Choice read(const std::string& first, const std::string& second) {
  const std::string& text = first.empty() ? second : first;
  if (text.empty()) return std::optional<ProxyUrl>();
  auto parsed = parse_proxy_url(text);
  if (!parsed) return Failure(std::move(parsed).error().within("environment"));
  return std::optional(std::move(*parsed));
}

std::string variable(const char* upper, const char* lower) {
  for (const char* name : {upper, lower}) {
    const char* value = std::getenv(name);
    if (value != nullptr && *value != '\0') return value;
  }
  return {};
}

}  // namespace

ProxyFunction proxy_from(const ProxyEnvironment& environment) {
  Choice http = read(environment.http_proxy, environment.all_proxy);
  if (environment.cgi && !environment.http_proxy.empty()) {
    http = Failure(make_error(Errc::invalid_request,
                              "HTTP_PROXY is refused in a CGI program: it may be the client's header Proxy"));
  }
  return [http = std::move(http), https = read(environment.https_proxy, environment.all_proxy),
          direct = client::NoProxy(environment.no_proxy)](const std::string& url) -> Choice {
    auto target = http::parse_target(url);
    if (!target) return Failure(std::move(target).error());
    if (direct.matches(target->host, target->port)) return std::optional<ProxyUrl>();
    return target->scheme == "https" ? https : http;
  };
}

ProxyFunction proxy_from_environment() {
  return proxy_from({.http_proxy = variable("HTTP_PROXY", "http_proxy"),
                     .https_proxy = variable("HTTPS_PROXY", "https_proxy"),
                     .all_proxy = variable("ALL_PROXY", "all_proxy"),
                     .no_proxy = variable("NO_PROXY", "no_proxy"),
                     .cgi = std::getenv("REQUEST_METHOD") != nullptr});
}

}  // namespace conntrace
