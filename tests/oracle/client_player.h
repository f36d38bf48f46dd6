// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <optional>

#include "conntrace/client.h"
#include "oracle/go_lines.h"
#include "oracle/player.h"
#include "support/hook_recorder.h"

namespace conntrace::test {

/// Our Client, with a trace for each request and one for the transport.
class ClientPlayer : public Player {
 public:
  explicit ClientPlayer(TransportOptions options);
  ~ClientPlayer() override;

  void start(int number, const Request& request) override;
  void cancel(int number) override;
  void close_idle_connections() override { transport_->close_idle_connections(); }
  [[nodiscard]] Look look() override;
  [[nodiscard]] std::vector<std::string> lines(int number) override;
  [[nodiscard]] std::string end() override;

 private:
  struct Sent {
    HookRecorder hooks;
    std::stop_source stop;
    std::mutex mutex;
    std::optional<std::string> done;
    std::size_t events_until_done = 0;
  };

  [[nodiscard]] ConnectionNumbers connection_numbers() const;

  HookRecorder hooks_;
  std::map<int, std::unique_ptr<Sent>> sent_;
  std::shared_ptr<Transport> transport_;
  std::optional<Client> client_;
};

}  // namespace conntrace::test
