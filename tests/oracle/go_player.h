// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/types.h>

#include <map>
#include <mutex>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <thread>

#include "conntrace/unique_fd.h"
#include "oracle/player.h"

namespace conntrace::test {

/// Go's net/http, in the process of oracle.go.
class GoPlayer : public Player {
 public:
  GoPlayer(const std::string& program, const TransportOptions& options);
  ~GoPlayer() override;

  void start(int number, const Request& request) override;
  void cancel(int number) override;
  void close_idle_connections() override;
  [[nodiscard]] Look look() override;
  [[nodiscard]] std::vector<std::string> lines(int number) override;
  [[nodiscard]] std::string end() override;

 private:
  void tell(const nlohmann::json& line);
  void write_all(std::string_view text);
  void read_all();
  void read_line(const std::string& line);

  pid_t pid_ = -1;
  UniqueFd input_;
  UniqueFd output_;
  std::mutex mutex_;
  std::map<int, std::vector<std::string>> lines_;
  std::optional<Look> look_;
  std::thread reader_;
};

}  // namespace conntrace::test
