// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "conntrace/request.h"
#include "conntrace/transport.h"

namespace conntrace::test {

/// What no hook says.
struct Look {
  int waiting = 0;   ///< requests behind max_conns_per_host
  int dialling = 0;  ///< dials under way, wanted or not
  int open = 0;      ///< connections, idle or in use
};

/// An HTTP client that plays scenarios and tells, for each request, its hooks and its end as lines.
///
/// Threading: one thread calls; lines grow meanwhile. Errors: waits throw std::runtime_error after their deadline.
class Player {
 public:
  Player() = default;
  Player(const Player&) = delete;
  Player& operator=(const Player&) = delete;
  virtual ~Player() = default;

  /// Sends a request under a number of the scenario's, from 1, and reads the body of its response to the end.
  virtual void start(int number, const Request& request) = 0;
  virtual void cancel(int number) = 0;
  virtual void close_idle_connections() = 0;
  [[nodiscard]] virtual Look look() = 0;
  /// The calls so far, in their order; 0: those that belong to no request. "done …" is when the caller had it all.
  [[nodiscard]] virtual std::vector<std::string> lines(int number) = 0;
  /// Says what was broken beyond the order of the hooks; empty: nothing. Ends the client.
  [[nodiscard]] virtual std::string end() = 0;

  /// Waits for a line of this request that starts with this; the rest of it is returned.
  std::string await(int number, std::string_view line);
  /// Waits for "done".
  std::string await_done(int number) { return await(number, "done "); }
  /// start() and await_done().
  std::string get(int number, const std::string& url);
  /// Waits for a moment at which look() says so.
  template <class Condition>
  void await_look(const char* what, Condition condition);

 private:
  static void fail(const std::string& what);
  [[nodiscard]] static bool within_deadline(const std::function<bool()>& condition);
};

template <class Condition>
void Player::await_look(const char* what, Condition condition) {
  if (!within_deadline([&] { return condition(look()); })) fail(what);
}

}  // namespace conntrace::test
