// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

struct ssl_ctx_st;

namespace conntrace::test {

/// A self-signed certificate and its key, as PEM.
struct Identity {
  std::string certificate;
  std::string key;
};
[[nodiscard]] Identity make_identity(const std::string& common_name = "localhost",
                                     const std::string& alternative_names = "DNS:localhost,IP:127.0.0.1");

/// What a server does when it is offered protocols by ALPN.
enum class Alpn {
  http1,   ///< chooses http/1.1
  h2,      ///< chooses h2, although nobody offered it
  none,    ///< goes on without
  refuses  ///< sends the alert no_application_protocol
};

/// A server's TLS with a fresh self-signed certificate for localhost and 127.0.0.1, which is also written to a
/// temporary PEM file for the client to trust. The caller frees the context and the file.
[[nodiscard]] ssl_ctx_st* make_server_context(std::string& certificate_file, Alpn alpn = Alpn::http1);

}  // namespace conntrace::test
