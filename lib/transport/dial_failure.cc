// SPDX-License-Identifier: Apache-2.0
// Why a dial failed: what libcurl and the sockets say, as one error.
#include <fmt/format.h>

#include "transport/dial.h"

namespace conntrace::transport {
namespace {

/// TLS, although no handshake has begun: what was configured cannot be loaded.
bool is_tls_error(CURLcode code) {
  switch (code) {
    case CURLE_SSL_CONNECT_ERROR:
    case CURLE_SSL_CERTPROBLEM:
    case CURLE_SSL_CIPHER:
    case CURLE_SSL_CACERT_BADFILE:
    case CURLE_SSL_ISSUER_ERROR:
    case CURLE_SSL_PINNEDPUBKEYNOTMATCH:
    case CURLE_PEER_FAILED_VERIFICATION: return true;
    default: return false;
  }
}

}  // namespace

std::string Dial::detail(CURLcode code) const {
  return error_text_.front() != '\0' ? error_text_.data() : curl_easy_strerror(code);
}

Error Dial::failure(CURLcode code) const {
  const Destination& target = *plan_.target;
  const std::error_code libcurl(code, curl_category());
  if (socket_error_ != 0 && (attempts_.winner() == nullptr || plan_.given)) {
    return system_error(socket_error_, "socket for " + target.hop, Phase::connect);
  }
  if (attempts_.winner() == nullptr) {
    // Nothing was tried: the reason is in libcurl's words.
    if (attempts_.empty()) return {libcurl, fmt::format("connect {} ({})", target.hop, detail(code)), Phase::connect};
    return attempts_.failure(target.hop, libcurl);
  }
  if ((tls_ != nullptr && tls_->started()) || is_tls_error(code)) {
    const std::string peer = tls_ != nullptr ? tls_->peer().host_port : target.host_port;
    if (tls_ != nullptr && tls_->peer_speaks_http()) return make_error(Errc::not_tls, "https://" + peer, Phase::tls);
    if (const std::string why = tls_ != nullptr ? tls_->declined_http1() : ""; !why.empty()) {
      return make_error(Errc::not_http1, fmt::format("https://{} ({})", peer, why), Phase::tls);
    }
    return {libcurl, fmt::format("TLS handshake with {} ({})", peer, detail(code)), Phase::tls};
  }
  if (proxy_ == Proxy::asked) return proxy_failure(code);
  return {libcurl, fmt::format("connect {} ({})", target.hop, detail(code)), Phase::connect};
}

Error Dial::proxy_failure(CURLcode code) const {
  const Destination& target = *plan_.target;
  const std::string what = fmt::format("{} through {}", target.host_port, target.proxy->redacted());
  if (reply_too_large_) return make_error(Errc::header_too_large, "CONNECT " + what, Phase::proxy);
  const int status = target.proxy->is_socks() ? socks_reply() : proxy_status_;
  const bool refused = target.proxy->is_socks() ? code == CURLE_PROXY : status != 0 && status / 100 != 2;
  if (refused && !target.proxy->is_socks()) {
    return make_error(Errc::proxy_refused, fmt::format("CONNECT {}: status {}", what, status), Phase::proxy);
  }
  const std::string detailed =
      fmt::format("{} {} ({})", target.proxy->is_socks() ? "SOCKS5" : "CONNECT", what, detail(code));
  if (refused) return make_error(Errc::proxy_refused, detailed, Phase::proxy);
  return {std::error_code(code, curl_category()), detailed, Phase::proxy};
}

int Dial::socks_reply() const {
  long why = CURLPX_OK;
  curl_easy_getinfo(easy_.get(), CURLINFO_PROXY_ERROR, &why);
  switch (why) {  // RFC 1928 section 6
    case CURLPX_REPLY_GENERAL_SERVER_FAILURE: return 1;
    case CURLPX_REPLY_NOT_ALLOWED: return 2;
    case CURLPX_REPLY_NETWORK_UNREACHABLE: return 3;
    case CURLPX_REPLY_HOST_UNREACHABLE: return 4;
    case CURLPX_REPLY_CONNECTION_REFUSED: return 5;
    case CURLPX_REPLY_TTL_EXPIRED: return 6;
    case CURLPX_REPLY_COMMAND_NOT_SUPPORTED: return 7;
    case CURLPX_REPLY_ADDRESS_TYPE_NOT_SUPPORTED: return 8;
    default: return 0;
  }
}

}  // namespace conntrace::transport
