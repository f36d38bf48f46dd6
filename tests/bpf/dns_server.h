// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <netinet/in.h>

#include <string>
#include <thread>

#include "conntrace/unique_fd.h"

namespace conntrace::bpftest {

/// A name server on port 53 of a loopback address, UDP and TCP. Every name has the addresses 192.0.2.7 and 2001:db8::7,
/// except those that begin with "nx", which do not exist. Runs on a thread until it is destroyed.
class DnsServer {
 public:
  DnsServer();
  ~DnsServer();
  DnsServer(const DnsServer&) = delete;
  DnsServer& operator=(const DnsServer&) = delete;

  [[nodiscard]] sockaddr_in address() const { return address_; }
  [[nodiscard]] std::string name() const;  // ip:port

 private:
  void serve();

  sockaddr_in address_{};
  UniqueFd udp_;
  UniqueFd tcp_;
  UniqueFd stop_;
  std::thread thread_;
};

}  // namespace conntrace::bpftest
