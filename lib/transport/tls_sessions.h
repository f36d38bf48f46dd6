// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <openssl/ssl.h>

#include <cstddef>
#include <list>
#include <string>

#include "base/owned.h"

namespace conntrace::transport {

using TlsSession = Owned<SSL_SESSION, SSL_SESSION_free>;

/// TLS sessions to resume. libcurl 7.88 keeps them in the share of the connections, of which each of ours has its own.
///
/// The key must name all that the session was verified for. A TLS 1.3 session is given out once (RFC 8446 appendix
/// C.4), one of TLS 1.2 stays. The least recently used goes first; a key keeps no more than four.
///
/// Threading: none; one caller at a time.
class TlsSessions {
 public:
  static constexpr std::size_t kPerKey = 4;  ///< servers send one or two tickets a connection

  explicit TlsSessions(std::size_t max) : max_(max) {}
  void put(const std::string& key, TlsSession session);
  /// The newest one, or nothing.
  [[nodiscard]] TlsSession take(const std::string& key);
  void forget(const std::string& key);
  [[nodiscard]] std::size_t size() const { return sessions_.size(); }

 private:
  struct Entry {
    std::string key;
    TlsSession session;
  };
  std::size_t max_;
  std::list<Entry> sessions_;  ///< most recently used first
};

}  // namespace conntrace::transport
