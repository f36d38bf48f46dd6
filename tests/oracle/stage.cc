// SPDX-License-Identifier: Apache-2.0
#include "oracle/stage.h"

#include <stdexcept>

#include "support/deadline.h"

namespace conntrace::test {
namespace {

std::size_t count(const std::map<int, std::vector<std::string>>& told, std::string_view start) {
  std::size_t found = 0;
  for (const auto& [number, lines] : told) {
    for (const std::string& line : lines) found += line.starts_with(start) ? 1 : 0;
  }
  return found;
}

}  // namespace

void Gate::open() {
  const std::lock_guard lock(mutex_);
  open_ = true;
  opened_.notify_all();
}

bool Gate::wait() {
  std::unique_lock lock(mutex_);
  return opened_.wait_for(lock, testing::kDeadline, [this] { return open_; });
}

void Gate::await(const char* what) {
  if (!wait()) throw std::runtime_error(std::string("did not come: ") + what);
}

Player& Stage::use(TransportOptions options) {
  // What the two send is to be the same, and neither is to resume what the other does not.
  options.user_agent = "Go-http-client/1.1";
  options.tls.resume_sessions = false;
  player_ = maker_(options);
  return *player_;
}

Player& Stage::player() {
  if (!player_) throw std::runtime_error("the scenario did not begin");
  return *player_;
}

void Stage::name_port(std::uint16_t port) { ports_.push_back(":" + std::to_string(port)); }

std::map<int, std::vector<std::string>> Stage::told() {
  std::map<int, std::vector<std::string>> all;
  all[-1] = notes_;
  all[0] = player().lines(0);
  for (int number = 1;; ++number) {
    std::vector<std::string> lines = player().lines(number);
    if (lines.empty()) break;
    all[number] = std::move(lines);
  }
  for (auto& [number, lines] : all) {
    for (std::string& line : lines) {
      for (std::size_t i = 0; i < ports_.size(); ++i) {
        const std::size_t at = line.find(ports_[i]);
        if (at != std::string::npos) line.replace(at, ports_[i].size(), {':', static_cast<char>('A' + i)});
      }
    }
  }
  return all;
}

void Stage::settle() {
  const auto settled = [this] {
    const auto all = told();
    return count(all, "dns_start") == count(all, "dns_done") &&
           count(all, "connect_start") == count(all, "connect_done") &&
           count(all, "tls_handshake_start") == count(all, "tls_handshake_done") &&
           count(all, "got_conn") == count(all, "wrote_request");
  };
  if (!testing::eventually(settled)) throw std::runtime_error("a start has no done");
}

Served::Served(Stage& stage, Script script, bool tls) : ScriptedServer(std::move(script), tls), stage_(stage) {
  stage_.name_port(port());
}

Served::~Served() { stage_.note(std::to_string(connections()) + " connections"); }

}  // namespace conntrace::test
