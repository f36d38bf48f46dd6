// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

namespace conntrace {

enum class TlsVersion : std::uint8_t { any, tls_1_2, tls_1_3 };

/// How TLS is spoken and whom it trusts. Files are PEM; text in memory, where it is given, is PEM too.
///
/// Errors: what cannot be loaded fails the dial with Phase::tls and libcurl's code (CURLE_SSL_CERTPROBLEM, …).
struct TlsOptions {
  // Whom to trust. All empty: the system's authorities.
  std::string ca_file;
  std::string ca_directory;  ///< hashed, as c_rehash makes it
  std::string ca_pem;        ///< instead of ca_file
  bool verify = true;        ///< certificate and name; false accepts anybody, and the events still say what was wrong

  // Who we are. Certificate and key both as files or both in memory; a file may hold both.
  std::string certificate_file;  ///< may hold the chain
  std::string key_file;
  std::string key_password;
  std::string certificate_pem;
  std::string key_pem;

  /// The name to send (SNI) and to find in the certificate, instead of the URL's host. Not for proxies.
  std::string server_name;
  /// sha256//BASE64, several joined by ;. The peer's public key must be one of them, whoever vouches for it
  /// (CURLOPT_PINNEDPUBLICKEY). Not for proxies.
  std::string pinned_public_key;

  TlsVersion min_version = TlsVersion::any;  ///< any: what the TLS library allows
  TlsVersion max_version = TlsVersion::any;
  std::string ciphers;          ///< OpenSSL's list for TLS 1.2; empty: its default
  std::string cipher_suites;    ///< for TLS 1.3
  bool resume_sessions = true;  ///< see max_sessions
  /// Sessions kept for resumption, all names together; the least recently used goes first. A session is used only for
  /// the name, port and proxy it was verified with; a TLS 1.3 ticket only once (RFC 8446 appendix C.4).
  std::size_t max_sessions = 64;
};

}  // namespace conntrace
