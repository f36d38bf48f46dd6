// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <vector>

#include "pool/records.h"

namespace conntrace::pool {

/// When idle connections have to go: a heap in which each connection has at most one place.
///
/// A connection keeps its place when it is used, and when it is idle again for longer; only when its place comes up is
/// its time looked at. So reuse costs nothing here, however many connections there are.
class Deadlines {
 public:
  /// The connection must be looked at by then. It stays where it is if it will be looked at earlier.
  void set(Connection& connection, MonoTime at);
  void remove(Connection& connection);
  [[nodiscard]] bool empty() const { return heap_.empty(); }
  [[nodiscard]] Connection& first() const { return *heap_.front(); }
  /// To a later time.
  void postpone(Connection& connection, MonoTime at);

 private:
  void place(std::size_t index, Connection& connection);
  void up(std::size_t index, Connection& connection);
  void down(std::size_t index, Connection& connection);

  std::vector<Connection*> heap_;
};

}  // namespace conntrace::pool
