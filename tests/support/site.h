// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <map>
#include <mutex>
#include <string>
#include <vector>

#include "support/scripted_server.h"

namespace conntrace::test {

/// Answers each request by its path; keeps the heads.
class Site {
 public:
  using Answer = std::function<std::string(const std::string& path, int visit)>;
  explicit Site(Answer answer, bool tls = false)
      : server_([this, answer = std::move(answer)](Peer& peer, int) { serve(peer, answer); }, tls) {}
  [[nodiscard]] const std::string& certificate_file() const { return server_.certificate_file(); }

  [[nodiscard]] std::string url(std::string_view path) const { return server_.url(path); }
  [[nodiscard]] int connections() const { return server_.connections(); }
  [[nodiscard]] std::uint16_t port() const { return server_.port(); }
  [[nodiscard]] std::vector<std::string> heads() const {
    const std::lock_guard lock(mutex_);
    return heads_;
  }
  [[nodiscard]] std::string bodies() const {
    const std::lock_guard lock(mutex_);
    return bodies_;
  }

 private:
  void serve(Peer& peer, const Answer& answer) {
    while (auto head = peer.read_head()) {
      std::size_t length = 0;
      if (const auto at = head->find("Content-Length: "); at != std::string::npos)
        length = std::stoul(head->substr(at + 16));
      const std::string body = length > 0 ? peer.read_bytes(length) : std::string();
      const std::string path = head->substr(head->find(' ') + 1, head->find(" HTTP/") - head->find(' ') - 1);
      int visit = 0;
      {
        const std::lock_guard lock(mutex_);
        heads_.push_back(*head);
        bodies_ += body + "|";
        visit = ++visits_[path];
      }
      peer.write(answer(path, visit));
    }
  }

  mutable std::mutex mutex_;
  std::vector<std::string> heads_;
  std::string bodies_;
  std::map<std::string, int> visits_;
  ScriptedServer server_;  // last: its threads use the rest
};

/// A complete response.
inline std::string answer(std::string_view status, std::string_view fields = "", std::string_view body = "") {
  return "HTTP/1.1 " + std::string(status) + "\r\n" + std::string(fields) +
         "Content-Length: " + std::to_string(body.size()) + "\r\n\r\n" + std::string(body);
}

}  // namespace conntrace::test
