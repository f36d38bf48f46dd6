// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string_view>

namespace conntrace::transport {

/// The protocol that a server chose by ALPN (RFC 7301), from its handshake message: EncryptedExtensions of TLS 1.3, or
/// ServerHello before that. Nothing: another message, no choice in it, or not well-formed. The view is into `message`.
///
/// OpenSSL says the same by SSL_get0_alpn_selected, but not of a choice for which it refuses the handshake.
[[nodiscard]] std::optional<std::string_view> chosen_protocol(std::string_view message);

}  // namespace conntrace::transport
