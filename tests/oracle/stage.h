// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <condition_variable>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "oracle/player.h"
#include "support/scripted_server.h"

namespace conntrace::test {

/// What a script waits for until the scenario opens it, or the other way round. Both sides have a deadline.
class Gate {
 public:
  void open();
  /// False at the deadline.
  bool wait();
  /// wait(), or std::runtime_error.
  void await(const char* what);

 private:
  std::mutex mutex_;
  std::condition_variable opened_;
  bool open_ = false;
};

/// Where one player plays a scenario. The next player gets a stage of its own.
class Stage {
 public:
  using Maker = std::function<std::unique_ptr<Player>(const TransportOptions&)>;
  explicit Stage(Maker maker) : maker_(std::move(maker)) {}

  /// Makes the client; once a scenario, when the servers are there.
  Player& use(TransportOptions options = {});
  [[nodiscard]] Player& player();
  /// Names a port A, B, … in the order of the calls; lines show the name.
  void name_port(std::uint16_t port);
  /// Adds a line of what the servers saw.
  void note(std::string line) { notes_.push_back(std::move(line)); }

  /// Every line by request, with the names of ports; 0: those of no request. -1: what the servers saw.
  [[nodiscard]] std::map<int, std::vector<std::string>> told();
  /// Waits until each start of a dial has its done.
  void settle();

 private:
  Maker maker_;
  std::vector<std::string> ports_;
  std::vector<std::string> notes_;
  std::unique_ptr<Player> player_;
};

/// A scripted server whose port has a name and whose connections are counted among what is compared.
class Served : public ScriptedServer {
 public:
  Served(Stage& stage, Script script, bool tls = false);
  ~Served();

 private:
  Stage& stage_;
};

}  // namespace conntrace::test
