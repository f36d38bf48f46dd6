// SPDX-License-Identifier: Apache-2.0
#include "transport/destination.h"

#include <fmt/format.h>
#include <openssl/evp.h>

#include <utility>

namespace conntrace::transport {
namespace {

/// RFC 7617.
std::string basic_credentials(const std::string& user, const std::string& password) {
  const std::string plain = user + ":" + password;
  std::string encoded((plain.size() + 2) / 3 * 4 + 1, '\0');  // OpenSSL adds a zero byte
  const int size =
      EVP_EncodeBlock(reinterpret_cast<unsigned char*>(encoded.data()),
                      reinterpret_cast<const unsigned char*>(plain.data()), static_cast<int>(plain.size()));
  encoded.resize(static_cast<std::size_t>(size));
  return "Basic " + encoded;
}

}  // namespace

Destination make_destination(http::Target target, std::optional<ProxyUrl> proxy) {
  Destination to{std::move(target), {}, std::move(proxy), {}, {}, {}, {}, 0, false};
  to.key = {to.proxy ? to.proxy->text() : std::string(), to.scheme, to.forwarded() ? std::string() : to.host_port};
  to.request_target = to.forwarded() ? fmt::format("{}://{}{}", to.scheme, to.authority, to.path) : to.path;
  if (to.forwarded() && to.proxy->user) {
    to.proxy_authorization = basic_credentials(*to.proxy->user, to.proxy->password);
  }
  to.hop_host = to.proxy ? to.proxy->host : to.host;
  to.hop = to.proxy ? to.proxy->host_port : to.host_port;
  to.hop_port = to.proxy ? to.proxy->port : to.port;
  to.hop_is_address = to.proxy ? to.proxy->is_address : to.is_address;
  return to;
}

}  // namespace conntrace::transport
