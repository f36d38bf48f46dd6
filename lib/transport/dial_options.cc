// SPDX-License-Identifier: Apache-2.0
// What a dial asks of libcurl.
#include <fmt/format.h>

#include <algorithm>
#include <string_view>

#include "transport/dial.h"

namespace conntrace::transport {
namespace {

constexpr long kHappyEyeballsMs = 300;  // Go's net.Dialer.FallbackDelay
constexpr long kNoLimitMs = 0x7fffffffL;

/// The same options for the target and for an https proxy.
struct TlsOptionNames {
  CURLoption ca_file, ca_directory, ca_blob, verify_peer, verify_host, certificate, certificate_blob, key, key_blob,
      key_password, pin, version, ciphers, cipher_suites;
};
constexpr TlsOptionNames kTarget = {CURLOPT_CAINFO,          CURLOPT_CAPATH,          CURLOPT_CAINFO_BLOB,
                                    CURLOPT_SSL_VERIFYPEER,  CURLOPT_SSL_VERIFYHOST,  CURLOPT_SSLCERT,
                                    CURLOPT_SSLCERT_BLOB,    CURLOPT_SSLKEY,          CURLOPT_SSLKEY_BLOB,
                                    CURLOPT_KEYPASSWD,       CURLOPT_PINNEDPUBLICKEY, CURLOPT_SSLVERSION,
                                    CURLOPT_SSL_CIPHER_LIST, CURLOPT_TLS13_CIPHERS};
constexpr TlsOptionNames kProxy = {
    CURLOPT_PROXY_CAINFO,          CURLOPT_PROXY_CAPATH,          CURLOPT_PROXY_CAINFO_BLOB,
    CURLOPT_PROXY_SSL_VERIFYPEER,  CURLOPT_PROXY_SSL_VERIFYHOST,  CURLOPT_PROXY_SSLCERT,
    CURLOPT_PROXY_SSLCERT_BLOB,    CURLOPT_PROXY_SSLKEY,          CURLOPT_PROXY_SSLKEY_BLOB,
    CURLOPT_PROXY_KEYPASSWD,       CURLOPT_PROXY_PINNEDPUBLICKEY, CURLOPT_PROXY_SSLVERSION,
    CURLOPT_PROXY_SSL_CIPHER_LIST, CURLOPT_PROXY_TLS13_CIPHERS};

void set_text(CURL* easy, CURLoption option, const std::string& text) {
  if (!text.empty()) curl_easy_setopt(easy, option, text.c_str());
}

/// The text must outlive the handle.
void set_blob(CURL* easy, CURLoption option, const std::string& text) {
  if (text.empty()) return;
  curl_blob blob{const_cast<char*>(text.data()), text.size(),  // NOLINT(cppcoreguidelines-pro-type-const-cast): C
                 CURL_BLOB_NOCOPY};
  curl_easy_setopt(easy, option, &blob);
}

long version_bits(const TlsOptions& options) {
  long bits = CURL_SSLVERSION_DEFAULT;
  if (options.min_version == TlsVersion::tls_1_2) bits = CURL_SSLVERSION_TLSv1_2;
  if (options.min_version == TlsVersion::tls_1_3) bits = CURL_SSLVERSION_TLSv1_3;
  if (options.max_version == TlsVersion::tls_1_2) bits |= CURL_SSLVERSION_MAX_TLSv1_2;
  if (options.max_version == TlsVersion::tls_1_3) bits |= CURL_SSLVERSION_MAX_TLSv1_3;
  return bits;
}

void set_tls(CURL* easy, const TlsOptionNames& names, const TlsOptions& options) {
  if (!options.ca_file.empty() || !options.ca_directory.empty() || !options.ca_pem.empty()) {
    curl_easy_setopt(easy, names.ca_file, nullptr);  // these, and not the system's as well
    curl_easy_setopt(easy, names.ca_directory, nullptr);
  } else if (curl_version_info(CURLVERSION_NOW)->cainfo != nullptr) {
    // libcurl keeps what it has read of the system's file (CURLOPT_CA_CACHE_TIMEOUT), but not if there is a folder,
    // too: then each handshake reads some hundred certificates anew, and the loop stands still for 20 to 100 ms.
    curl_easy_setopt(easy, names.ca_directory, nullptr);
  }
  set_text(easy, names.ca_file, options.ca_file);
  set_text(easy, names.ca_directory, options.ca_directory);
  set_blob(easy, names.ca_blob, options.ca_pem);
  curl_easy_setopt(easy, names.verify_peer, options.verify ? 1L : 0L);
  curl_easy_setopt(easy, names.verify_host, options.verify ? 2L : 0L);
  set_text(easy, names.certificate, options.certificate_file);
  set_blob(easy, names.certificate_blob, options.certificate_pem);
  set_text(easy, names.key, options.key_file.empty() ? options.certificate_file : options.key_file);
  set_blob(easy, names.key_blob, options.key_pem.empty() ? options.certificate_pem : options.key_pem);
  set_text(easy, names.key_password, options.key_password);
  set_text(easy, names.pin, options.pinned_public_key);
  curl_easy_setopt(easy, names.version, version_bits(options));
  set_text(easy, names.ciphers, options.ciphers);
  set_text(easy, names.cipher_suites, options.cipher_suites);
}

std::string bracketed(const std::string& host) { return host.find(':') != std::string::npos ? "[" + host + "]" : host; }

std::string resolve_entry(const Destination& target, const std::vector<std::string>& addresses) {
  std::string entry = fmt::format("+{}:{}:", target.hop_host, target.hop_port);
  for (const std::string& address : addresses) entry += bracketed(address) + ",";
  entry.pop_back();
  return entry;
}

void append(CurlList& list, const std::string& text) {
  if (curl_slist* longer = curl_slist_append(list.get(), text.c_str())) {
    static_cast<void>(list.release());
    list.reset(longer);
  }
}

}  // namespace

void Dial::configure() {
  CURL* easy = easy_.get();
  const Destination& target = *plan_.target;
  curl_share_setopt(share_.get(), CURLSHOPT_SHARE, CURL_LOCK_DATA_CONNECT);
  curl_easy_setopt(easy, CURLOPT_SHARE, share_.get());
  curl_easy_setopt(easy, CURLOPT_CONNECT_ONLY, 1L);
  curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
  curl_easy_setopt(easy, CURLOPT_PROXY, "");  // libcurl must not look at the environment
  curl_easy_setopt(easy, CURLOPT_NOPROXY, "");
  curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, error_text_.data());
  // The engine's timers decide; libcurl divides its own limit among the addresses, as Go does.
  const auto limit = std::chrono::duration_cast<std::chrono::milliseconds>(plan_.connect_limit).count();
  curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, limit > 0 ? static_cast<long>(limit + limit / 8 + 20) : kNoLimitMs);
  curl_easy_setopt(easy, CURLOPT_HAPPY_EYEBALLS_TIMEOUT_MS, kHappyEyeballsMs);
  curl_easy_setopt(easy, CURLOPT_TCP_KEEPALIVE, 1L);
  curl_easy_setopt(easy, CURLOPT_TCP_KEEPIDLE, 30L);
  curl_easy_setopt(easy, CURLOPT_TCP_KEEPINTVL, 30L);
  curl_easy_setopt(easy, CURLOPT_BUFFERSIZE, 1024L);
  curl_easy_setopt(easy, CURLOPT_OPENSOCKETFUNCTION, &Dial::open_callback);
  curl_easy_setopt(easy, CURLOPT_OPENSOCKETDATA, this);
  curl_easy_setopt(easy, CURLOPT_CLOSESOCKETFUNCTION, &Dialer::close_callback);
  curl_easy_setopt(easy, CURLOPT_CLOSESOCKETDATA, &dialer_);
  curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, CURL_HTTP_VERSION_1_1);
  std::string url = fmt::format("{}://{}/", target.scheme, target.host_port);
  std::string way;
  if (target.forwarded()) {
    url = fmt::format("{}://{}/", target.proxy->scheme, target.hop);
  } else if (const std::string& name = dialer_.options_.tls.server_name; target.scheme == "https" && !name.empty()) {
    // libcurl has one name for SNI, the certificate and the way there: the way is turned back to where it leads.
    url = fmt::format("https://{}:{}/", bracketed(name), target.port);
    way = fmt::format("{}:{}:{}", bracketed(name), target.port, target.host_port);
  }
  // The application has connected already: libcurl, which refuses some names (*.onion), must look at none.
  if (plan_.given && !target.tunnelled()) way = "::127.0.0.1:";
  if (!way.empty()) {
    append(connect_to_, way);
    curl_easy_setopt(easy, CURLOPT_CONNECT_TO, connect_to_.get());
  }
  curl_easy_setopt(easy, CURLOPT_URL, url.c_str());
  if (target.tunnelled()) configure_proxy();
  configure_tls();
  if (plan_.addresses.empty()) return;
  append(resolve_, resolve_entry(target, plan_.addresses));
  curl_easy_setopt(easy, CURLOPT_RESOLVE, resolve_.get());
}

void Dial::configure_proxy() {
  CURL* easy = easy_.get();
  const ProxyUrl& proxy = *plan_.target->proxy;
  // By socks5h the proxy resolves the name, as in Go.
  const std::string scheme = proxy.is_socks() ? "socks5h" : tls_to_proxy() ? "https" : "http";
  curl_easy_setopt(easy, CURLOPT_PROXY, fmt::format("{}://{}", scheme, proxy.host_port).c_str());
  if (proxy.user) {
    curl_easy_setopt(easy, CURLOPT_PROXYUSERNAME, proxy.user->c_str());
    curl_easy_setopt(easy, CURLOPT_PROXYPASSWORD, proxy.password.c_str());
  }
  if (proxy.is_socks()) {
    curl_easy_setopt(easy, CURLOPT_SOCKS5_AUTH, CURLAUTH_BASIC);  // no GSS-API
    return;
  }
  curl_easy_setopt(easy, CURLOPT_HTTPPROXYTUNNEL, 1L);
  curl_easy_setopt(easy, CURLOPT_PROXYAUTH, CURLAUTH_BASIC);
  set_text(easy, CURLOPT_USERAGENT, dialer_.options_.user_agent);
  curl_easy_setopt(easy, CURLOPT_HEADEROPT, static_cast<long>(CURLHEADER_SEPARATE));
  append(proxy_headers_, "Proxy-Connection:");  // not sent: it means nothing to HTTP/1.1
  for (const auto& [name, value] : plan_.connect_header) {
    append(proxy_headers_, value.empty() ? name + ";" : fmt::format("{}: {}", name, value));  // NAME; says "empty"
  }
  curl_easy_setopt(easy, CURLOPT_PROXYHEADER, proxy_headers_.get());
  // The reply's head is bounded here, and the debug callback tells when the CONNECT has been written.
  curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, &Dial::header_callback);
  curl_easy_setopt(easy, CURLOPT_HEADERDATA, this);
  curl_easy_setopt(easy, CURLOPT_DEBUGFUNCTION, &Dial::debug_callback);
  curl_easy_setopt(easy, CURLOPT_DEBUGDATA, this);
  curl_easy_setopt(easy, CURLOPT_VERBOSE, 1L);
}

void Dial::configure_tls() {
  CURL* easy = easy_.get();
  const Destination& target = *plan_.target;
  const bool proxy_tls = tls_to_proxy();
  if (target.scheme != "https" && !proxy_tls) return;
  curl_easy_setopt(easy, CURLOPT_SSL_ENABLE_ALPN, 0L);
  curl_easy_setopt(easy, CURLOPT_SSL_SESSIONID_CACHE, 0L);  // TlsSessions keeps them
  curl_easy_setopt(easy, CURLOPT_SSL_CTX_FUNCTION, &Dial::ssl_context_callback);
  curl_easy_setopt(easy, CURLOPT_SSL_CTX_DATA, this);
  if (target.forwarded()) {
    set_tls(easy, kTarget, dialer_.proxy_tls_);  // for libcurl the proxy is the target
    return;
  }
  set_tls(easy, kTarget, dialer_.options_.tls);
  if (proxy_tls) set_tls(easy, kProxy, dialer_.proxy_tls_);
}

}  // namespace conntrace::transport
