// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <openssl/x509.h>

#include <string>
#include <vector>

#include "base/owned.h"

namespace conntrace::transport {

using Certificate = Owned<X509, X509_free>;

/// What a certificate says, as text. Names are cut at 256 bytes, the list at 16.
struct CertificateFacts {
  std::string subject;
  std::string issuer;
  std::vector<std::string> names;  ///< subjectAltName: DNS names, IP addresses, URIs, mail addresses
  std::string not_before;          ///< RFC 3339, UTC; empty: not a time
  std::string not_after;
  std::string fingerprint;  ///< SHA-256 of its DER, hexadecimal
};

[[nodiscard]] CertificateFacts certificate_facts(X509* certificate);

/// Whether it is for this name or IP address (RFC 9525, with OpenSSL's rules).
[[nodiscard]] bool certificate_is_for(X509* certificate, const std::string& name);

}  // namespace conntrace::transport
