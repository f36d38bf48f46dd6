// SPDX-License-Identifier: Apache-2.0
#include "transport/alpn.h"

#include <openssl/ssl.h>

#include <cstdint>

namespace conntrace::transport {
namespace {

/// Takes fields off the front; from the first that is not whole on it is empty.
class Reader {
 public:
  explicit Reader(std::string_view bytes) : left_(bytes) {}
  std::string_view take(std::size_t count) {
    if (count > left_.size()) {
      left_ = {};
      return {};
    }
    const std::string_view taken = left_.substr(0, count);
    left_.remove_prefix(count);
    return taken;
  }
  std::size_t number(std::size_t bytes) {
    std::size_t value = 0;
    for (const char byte : take(bytes)) value = (value << 8) + static_cast<unsigned char>(byte);
    return value;
  }
  /// A vector of RFC 8446 section 3.4, whose length takes this many bytes.
  std::string_view vector(std::size_t length_bytes) { return take(number(length_bytes)); }
  [[nodiscard]] bool empty() const { return left_.empty(); }

 private:
  std::string_view left_;
};

}  // namespace

std::optional<std::string_view> chosen_protocol(std::string_view message) {
  constexpr std::size_t kHelloBegins = 2 + 32;     // version, random
  constexpr std::size_t kCipherAndMethod = 2 + 1;  // and compression
  Reader reader(message);
  const std::size_t type = reader.number(1);
  if (type != SSL3_MT_SERVER_HELLO && type != SSL3_MT_ENCRYPTED_EXTENSIONS) return std::nullopt;
  reader.take(3);  // the length of what follows
  if (type == SSL3_MT_SERVER_HELLO) {
    reader.take(kHelloBegins);
    reader.vector(1);  // session
    reader.take(kCipherAndMethod);
  }
  Reader extensions(reader.vector(2));
  while (!extensions.empty()) {
    const std::size_t extension = extensions.number(2);
    const std::string_view content = extensions.vector(2);
    if (extension != TLSEXT_TYPE_application_layer_protocol_negotiation) continue;
    Reader list(Reader(content).vector(2));
    const std::string_view protocol = list.vector(1);
    if (protocol.empty() || !list.empty()) return std::nullopt;
    return protocol;
  }
  return std::nullopt;
}

}  // namespace conntrace::transport
