// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <mutex>
#include <string>
#include <vector>

#include "support/scripted_server.h"

namespace conntrace::test {

/// A proxy that keeps what it was asked. Wherever a tunnel is asked to lead, it leads to `port` of 127.0.0.1, so that
/// targets need no name that resolves.
class ScriptedProxy {
 public:
  enum class Kind { http, https, socks5 };
  explicit ScriptedProxy(Kind kind, std::uint16_t port = 0)
      : kind_(kind),
        port_(port),
        server_([this](Peer& peer, int) { kind_ == Kind::socks5 ? serve_socks(peer) : serve_http(peer); },
                kind == Kind::https) {}

  /// scheme://CREDENTIALS@127.0.0.1:port
  [[nodiscard]] std::string url(const std::string& credentials = {}) const {
    const char* scheme = kind_ == Kind::http ? "http" : kind_ == Kind::https ? "https" : "socks5";
    const std::string before = credentials.empty() ? "" : credentials + "@";
    return std::string(scheme) + "://" + before + "127.0.0.1:" + std::to_string(server_.port());
  }
  [[nodiscard]] const std::string& certificate_file() const { return server_.certificate_file(); }
  [[nodiscard]] int connections() const { return server_.connections(); }
  /// Heads of requests; of SOCKS5 the bytes, greeting and request one entry each.
  [[nodiscard]] std::vector<std::string> asked() const {
    const std::lock_guard lock(mutex_);
    return asked_;
  }

 private:
  void keep(std::string text) {
    const std::lock_guard lock(mutex_);
    asked_.push_back(std::move(text));
  }

  void serve_http(Peer& peer) {
    while (const auto head = peer.read_head()) {
      keep(*head);
      if (!head->starts_with("CONNECT ")) {
        peer.respond("by proxy");
        continue;
      }
      peer.write("HTTP/1.1 200 Connection established\r\nVia: test\r\n\r\n");
      peer.splice(port_);
      return;
    }
  }

  /// RFC 1928, RFC 1929.
  void serve_socks(Peer& peer) {
    std::string greeting = peer.read_bytes(2);
    if (greeting.size() < 2) return;
    greeting += peer.read_bytes(static_cast<unsigned char>(greeting[1]));
    keep(greeting);
    const bool with_password = greeting.find('\x02', 2) != std::string::npos;
    peer.write(with_password ? std::string("\x05\x02", 2) : std::string("\x05\x00", 2));
    if (with_password) {
      std::string credentials = peer.read_bytes(2);
      credentials += peer.read_bytes(static_cast<unsigned char>(credentials[1]) + std::size_t{1});
      credentials += peer.read_bytes(static_cast<unsigned char>(credentials.back()));
      keep(credentials);
      peer.write(std::string("\x01\x00", 2));
    }
    std::string request = peer.read_bytes(5);
    if (request.size() < 5) return;
    const std::size_t more = request[3] == 1 ? 3 : request[3] == 4 ? 15 : static_cast<unsigned char>(request[4]);
    request += peer.read_bytes(more + 2);
    keep(request);
    const char reply = port_ == 0 ? '\x05' : '\x00';  // connection refused
    peer.write(std::string("\x05", 1) + reply + std::string("\x00\x01\x7f\x00\x00\x01\x00\x00", 8));
    if (port_ != 0) peer.splice(port_);
  }

  const Kind kind_;
  const std::uint16_t port_;
  mutable std::mutex mutex_;
  std::vector<std::string> asked_;
  ScriptedServer server_;
};

}  // namespace conntrace::test
