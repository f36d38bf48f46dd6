// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>

#include "conntrace/error.h"
#include "conntrace/unique_fd.h"

namespace conntrace::cli {

/// The other side of the demo's connections: two origin servers, a DNS responder if there is a private network, and a
/// port where nobody listens. They run in a child process, so that the descriptors and sockets of this one are the
/// client's alone.
///
/// Threading: start() before any thread is started. Lifetime: the child ends with this object, or with this process.
class DemoServers {
 public:
  /// How long the second server keeps an idle connection.
  static constexpr std::chrono::milliseconds kIdleTimeout{200};

  /// `port` of the first server; 0: a free one. Errors: the port is taken.
  [[nodiscard]] static Result<std::unique_ptr<DemoServers>> start(std::uint16_t port);
  ~DemoServers();
  DemoServers(const DemoServers&) = delete;
  DemoServers& operator=(const DemoServers&) = delete;

  [[nodiscard]] std::string origin(const std::string& path) const { return url(name_, port_, path); }
  /// The server that soon closes idle connections.
  [[nodiscard]] std::string impatient(const std::string& path) const { return url(name_, impatient_port_, path); }
  /// Its host:port.
  [[nodiscard]] std::string impatient_host() const { return name_ + ":" + std::to_string(impatient_port_); }
  [[nodiscard]] std::string nobody() const { return url("127.0.0.1", refused_port_, "/"); }
  [[nodiscard]] std::string unknown_name() const { return "http://nowhere.invalid/"; }
  /// Whether names are asked of our own responder; otherwise of what the machine is configured for.
  [[nodiscard]] bool own_dns() const { return own_dns_; }

 private:
  DemoServers(pid_t child, UniqueFd control) : child_(child), control_(std::move(control)) {}
  static std::string url(const std::string& host, std::uint16_t port, const std::string& path) {
    return "http://" + host + ":" + std::to_string(port) + path;
  }

  const pid_t child_;
  UniqueFd control_;  ///< the child ends when it is closed
  std::string name_;
  std::uint16_t port_ = 0;
  std::uint16_t impatient_port_ = 0;
  std::uint16_t refused_port_ = 0;
  bool own_dns_ = false;
};

}  // namespace conntrace::cli
