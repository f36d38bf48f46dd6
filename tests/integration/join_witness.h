// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <string>

#include "conntrace/client_trace.h"
#include "conntrace/sink.h"

namespace conntrace::test {

/// The two ports of a TCP connection on loopback, seen from the client.
struct Ports {
  std::uint16_t local = 0;
  std::uint16_t remote = 0;
  friend auto operator<=>(const Ports&, const Ports&) = default;
};

/// The number behind the last colon; 0 if there is none.
[[nodiscard]] std::uint16_t port_of(const std::string& address);

/// Asks the socket itself, with getsockopt and getsockname in the hooks: what the kernel says, not what the library
/// says.
///
/// Threading: any.
class SocketWitness {
 public:
  struct Socket {
    std::uint64_t cookie = 0;
    Ports ports;  ///< once it was connected
  };

  [[nodiscard]] std::shared_ptr<const ClientTrace> trace();
  /// By connection number. Traffic whose dials try one address each has one socket a connection.
  [[nodiscard]] std::map<ConnectionId, Socket> sockets() const;
  /// How often conn_closed ran.
  [[nodiscard]] std::uint64_t closes() const;

 private:
  mutable std::mutex mutex_;
  std::map<ConnectionId, Socket> sockets_;
  std::map<ConnectionId, int> descriptors_;
  std::uint64_t closes_ = 0;
};

/// Cookies of the TCP sockets of this network namespace that are connected right now, by ports, from sock_diag.
/// Fails the current test if the kernel does not answer.
[[nodiscard]] std::map<Ports, std::uint64_t> sock_diag_cookies();

/// Keeps the lines in memory.
class MemorySink : public Sink {
 public:
  void write(std::string_view lines, std::uint64_t records) override;
  Result<void> flush() override { return {}; }
  [[nodiscard]] std::uint64_t lost() const override { return 0; }
  [[nodiscard]] std::string text() const;
  [[nodiscard]] std::uint64_t records() const;

 private:
  mutable std::mutex mutex_;
  std::string text_;
  std::uint64_t records_ = 0;
};

}  // namespace conntrace::test
