// SPDX-License-Identifier: Apache-2.0
#include "transport/alpn.h"

#include <gtest/gtest.h>

#include <string>

namespace conntrace::transport {
namespace {

std::string length(std::size_t value, int bytes) {
  std::string text;
  for (int at = bytes - 1; at >= 0; --at) text += static_cast<char>(value >> (8 * at));
  return text;
}
std::string vector(const std::string& content, int length_bytes) {
  return length(content.size(), length_bytes) + content;
}
std::string extension(int type, const std::string& content) { return length(type, 2) + vector(content, 2); }
std::string alpn(const std::string& protocol) { return extension(16, vector(vector(protocol, 1), 2)); }
std::string message(int type, const std::string& content) { return length(type, 1) + vector(content, 3); }
std::string encrypted_extensions(const std::string& extensions) { return message(8, vector(extensions, 2)); }
std::string server_hello(const std::string& extensions) {
  return message(2, "\3\3" + std::string(32, 'r') + vector("session", 1) + "\x13\x01" + std::string(1, '\0') +
                        vector(extensions, 2));
}

TEST(ChosenProtocol, OfBothMessages) {
  const std::string others = extension(0, "") + extension(10, "groups");
  EXPECT_EQ(chosen_protocol(encrypted_extensions(others + alpn("h2"))), "h2");
  EXPECT_EQ(chosen_protocol(server_hello(others + alpn("http/1.1") + extension(5, ""))), "http/1.1");
  EXPECT_EQ(chosen_protocol(encrypted_extensions(others)), std::nullopt);
  EXPECT_EQ(chosen_protocol(server_hello("")), std::nullopt);
  EXPECT_EQ(chosen_protocol(message(1, vector(alpn("h2"), 2))), std::nullopt) << "a ClientHello is an offer";
}

TEST(ChosenProtocol, NotWellFormed) {
  for (const std::string& whole : {encrypted_extensions(alpn("h2")), server_hello(alpn("h2"))}) {
    for (std::size_t size = 0; size < whole.size(); ++size) {
      EXPECT_EQ(chosen_protocol(whole.substr(0, size)), std::nullopt) << size;
    }
  }
  EXPECT_EQ(chosen_protocol(encrypted_extensions(extension(16, vector(vector("h2", 1) + vector("h3", 1), 2)))),
            std::nullopt)
      << "a choice of two";
  EXPECT_EQ(chosen_protocol(encrypted_extensions(extension(16, ""))), std::nullopt);
}

}  // namespace
}  // namespace conntrace::transport
