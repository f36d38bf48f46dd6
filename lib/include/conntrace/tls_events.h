// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <tuple>

#include "conntrace/field.h"
#include "conntrace/text.h"

namespace conntrace {

// Payloads of a TLS handshake. Each is also the argument of the hook of the same name (client_trace.h). A dial through
// an https proxy to an https target has two handshakes: with the proxy, then, inside, with the target.

struct TlsHandshakeStartInfo {
  Text server_name;
  bool proxy = false;
  static constexpr auto fields() {
    return std::tuple{Field{"server_name", &TlsHandshakeStartInfo::server_name, "SNI"},
                      Field{"proxy", &TlsHandshakeStartInfo::proxy, "with the proxy; else with the target"}};
  }
};

struct TlsHandshakeDoneInfo {
  Text version;
  Text cipher;
  Text alpn;
  bool resumed = false;
  Text error;
  Text server_name;
  bool proxy = false;
  Text subject;
  Text issuer;
  List<Text> subject_alt_names;
  Text not_before;
  Text not_after;
  Text fingerprint_sha256;
  std::uint32_t chain_length = 0;
  int verify_code = 0;
  Text verify_error;
  static constexpr auto fields() {
    using Self = TlsHandshakeDoneInfo;
    return std::tuple{
        Field{"version", &Self::version, "TLSv1.3"},
        Field{"cipher", &Self::cipher, "name of the cipher suite"},
        Field{"alpn", &Self::alpn, "protocol that ALPN chose"},
        Field{"resumed", &Self::resumed, "the session was resumed"},
        Field{"error", &Self::error, "empty: success"},
        Field{"server_name", &Self::server_name, "SNI"},
        Field{"proxy", &Self::proxy, "with the proxy; else with the target"},
        Field{"subject", &Self::subject, "of the peer's certificate (RFC 4514)"},
        Field{"issuer", &Self::issuer, "who signed it (RFC 4514)"},
        Field{"subject_alt_names", &Self::subject_alt_names, "names and addresses it is for, at most 16"},
        Field{"not_before", &Self::not_before, "RFC 3339, UTC"},
        Field{"not_after", &Self::not_after, "RFC 3339, UTC"},
        Field{"fingerprint_sha256", &Self::fingerprint_sha256, "of the certificate (DER), hexadecimal"},
        Field{"chain_length", &Self::chain_length, "certificates that the peer sent; 0: not known"},
        Field{"verify_code", &Self::verify_code, "X509_V_ERR_… of OpenSSL (x509_vfy.h); 0: nothing was found wrong"},
        Field{"verify_error", &Self::verify_error, "its text; said although the check is off, too"}};
  }
};

struct TlsMessageInfo {
  Text message;
  bool sent = false;
  std::uint32_t bytes = 0;
  bool proxy = false;
  static constexpr auto fields() {
    return std::tuple{Field{"message", &TlsMessageInfo::message,
                            "ClientHello … Finished (RFC 8446 section 4), Alert or ChangeCipherSpec"},
                      Field{"sent", &TlsMessageInfo::sent, "by this side; else received"},
                      Field{"bytes", &TlsMessageInfo::bytes, "its length, without record headers"},
                      Field{"proxy", &TlsMessageInfo::proxy, "with the proxy; else with the target"}};
  }
};

}  // namespace conntrace
