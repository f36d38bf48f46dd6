// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>

#include "conntrace/clock.h"
#include "conntrace/error.h"
#include "transport/connect_attempts.h"
#include "transport/local_ports.h"
#include "transport/stream.h"
#include "transport/tls_watch.h"

namespace conntrace::transport {

/// Hears of one dial. Calls come on the loop's thread; those of one dial end with on_dialled or on_dial_failed. Each
/// start has its done, also when the dial is destroyed.
class DialObserver {
 public:
  virtual void on_connect_start(const ConnectAttempt& attempt, MonoTime at) = 0;
  /// `attempt` says when, with which outcome and errno.
  virtual void on_connect_done(const ConnectAttempt& attempt) = 0;
  /// A way through the proxy is asked for.
  virtual void on_proxy_start(MonoTime at) = 0;
  /// `status`: of the CONNECT's response, or the SOCKS5 reply.
  virtual void on_proxy_done(int status, const std::string& error, MonoTime at) = 0;
  virtual void on_tls_start(const TlsPeer& peer, MonoTime at) = 0;
  virtual void on_tls_message(const TlsPeer& peer, const TlsMessage& message) = 0;
  virtual void on_tls_done(const TlsPeer& peer, const TlsFacts& facts, const std::string& error, MonoTime at) = 0;
  /// socket(2) failed for want of descriptors.
  virtual void on_no_descriptor(int error_number) = 0;
  /// A connect to this ip:port failed with EADDRNOTAVAIL: why?
  [[nodiscard]] virtual std::optional<PortUse> port_use(const std::string& ip_port) = 0;
  virtual void on_dialled(Stream stream, const ConnectAttempt& attempt) = 0;
  virtual void on_dial_failed(Error error) = 0;

 protected:
  ~DialObserver() = default;
};

}  // namespace conntrace::transport
