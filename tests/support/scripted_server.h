// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "conntrace/unique_fd.h"
#include "support/certificate.h"

struct ssl_st;
struct ssl_ctx_st;

namespace conntrace::test {

/// One accepted connection, for a script to converse on. Blocking, with a limit of ten seconds for each read.
class Peer {
 public:
  Peer(UniqueFd fd, ssl_ctx_st* tls);
  ~Peer();
  Peer(const Peer&) = delete;
  Peer& operator=(const Peer&) = delete;

  /// Up to and including the blank line; nothing if the other side ended first.
  [[nodiscard]] std::optional<std::string> read_head() { return read_until("\r\n\r\n"); }
  /// Up to and including this text; nothing if the other side ended first.
  [[nodiscard]] std::optional<std::string> read_until(std::string_view text);
  /// Whether bytes, or the end, are there to be read within this time.
  [[nodiscard]] bool readable(std::chrono::milliseconds patience) const;
  [[nodiscard]] std::string read_bytes(std::size_t count);
  /// Until the other side ends.
  void read_to_end();
  void write(std::string_view text);
  /// Until the other side's kernel has all that was written; a reset would discard the rest.
  void flush() const;
  /// A complete 200 with this body.
  void respond(std::string_view body = "ok", std::string_view extra_headers = {});
  /// Connects to this port of 127.0.0.1 and passes bytes both ways until one side ends: what a proxy does.
  void splice(std::uint16_t port);
  /// FIN.
  void close();
  /// RST.
  void reset();

 private:
  [[nodiscard]] std::size_t receive(char* data, std::size_t size);

  UniqueFd fd_;
  ssl_st* tls_ = nullptr;
  std::string buffer_;
};

/// A server on 127.0.0.1 that runs a script for each connection, in a thread of its own; connections count from 0.
class ScriptedServer {
 public:
  using Script = std::function<void(Peer& peer, int connection)>;
  explicit ScriptedServer(Script script, bool tls = false, Alpn alpn = Alpn::http1);
  ~ScriptedServer();
  ScriptedServer(const ScriptedServer&) = delete;
  ScriptedServer& operator=(const ScriptedServer&) = delete;

  [[nodiscard]] std::string url(std::string_view path = "/") const;
  [[nodiscard]] std::uint16_t port() const { return port_; }
  [[nodiscard]] int connections() const { return accepted_; }
  /// PEM of the certificate (for localhost and 127.0.0.1) that TLS uses; it is its own authority.
  [[nodiscard]] const std::string& certificate_file() const { return certificate_file_; }

 private:
  void accept_all();

  Script script_;
  UniqueFd listener_;
  std::uint16_t port_ = 0;
  ssl_ctx_st* tls_ = nullptr;
  std::string certificate_file_;
  std::atomic<int> accepted_ = 0;
  std::atomic<bool> stopping_ = false;
  std::mutex mutex_;
  std::vector<int> open_;  ///< shut down by the destructor, so that scripts end
  std::vector<std::thread> threads_;
  std::thread acceptor_;
};

/// A script that answers every request with 200 until the client ends.
void answer_all(Peer& peer, int connection);

}  // namespace conntrace::test
