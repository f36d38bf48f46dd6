// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "conntrace/clock.h"
#include "conntrace/error.h"
#include "conntrace/reasons.h"
#include "transport/local_ports.h"

namespace conntrace::transport {

class DialObserver;

/// One socket of a dial; Happy Eyeballs (RFC 8305) may open several.
struct ConnectAttempt {
  int fd = -1;
  std::uint64_t cookie = 0;
  std::string address;  ///< ip:port
  std::string local;    ///< ip:port, once connected
  const char* network = "tcp4";
  ConnectOutcome outcome = ConnectOutcome::unknown;
  int error_number = 0;          ///< errno; 0: none, or libcurl does not say
  std::string error;             ///< what the application's dial function says; empty: it was not asked
  std::optional<PortUse> ports;  ///< with EADDRNOTAVAIL
  MonoTime ended{};              ///< when it connected or failed
  bool done = false;             ///< on_connect_done was called

  /// "Connection refused", "lost the race", …
  [[nodiscard]] std::string what() const;
};

/// The sockets that libcurl opens for a dial, and what became of each.
///
/// libcurl tells of no socket but the winner. The others' ends are read from the sockets themselves: when one becomes
/// ready, before libcurl looks (look), and after each of libcurl's turns (settle), which may have closed some.
///
/// Threading: the loop's.
/// Source:    lib/connect.c, lib/cf-socket.c of libcurl 7.88; curl#11439: before 8.2 sockets that never connected are
///            closed behind CLOSESOCKETFUNCTION.
class ConnectAttempts {
 public:
  explicit ConnectAttempts(DialObserver& observer) : observer_(observer) {}

  /// One that has connected, and was told: the application's.
  void adopt(ConnectAttempt attempt);
  /// It has this descriptor from now on.
  void move_winner(int fd) { attempts_[winner_].fd = fd; }
  void begin(int fd, const std::string& address, bool ipv6);
  /// The socket is ready. True: it is the one that connected.
  [[nodiscard]] bool look(int fd);
  /// After a turn of libcurl's, whose last errno is `os_error`. True: one has connected since.
  [[nodiscard]] bool settle(int os_error);
  /// Ends those that have not ended.
  void end(ConnectOutcome outcome, int error_number);

  /// The one that connected, or nullptr.
  [[nodiscard]] const ConnectAttempt* winner() const;
  /// libcurl has chosen this socket. nullptr: it is none of ours.
  [[nodiscard]] const ConnectAttempt* choose(int fd);
  [[nodiscard]] const std::vector<ConnectAttempt>& all() const { return attempts_; }
  [[nodiscard]] bool empty() const { return attempts_.empty(); }
  [[nodiscard]] std::uint32_t count() const { return static_cast<std::uint32_t>(attempts_.size()); }
  /// "ip:port: what became of it", the first 16.
  [[nodiscard]] std::vector<std::string> each() const;
  /// The same in one line.
  [[nodiscard]] std::string described() const;
  /// Why none connected: the first one's errno, as Go has it, and every address with its own. `libcurl` is the code if
  /// there is no errno.
  [[nodiscard]] Error failure(const std::string& hop, std::error_code libcurl) const;

 private:
  void finish(ConnectAttempt& attempt, ConnectOutcome outcome, int error_number);

  DialObserver& observer_;
  std::vector<ConnectAttempt> attempts_;
  std::size_t winner_ = SIZE_MAX;
};

}  // namespace conntrace::transport
