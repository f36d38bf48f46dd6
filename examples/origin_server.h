// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "conntrace/error.h"

namespace conntrace::example {

struct OriginOptions {
  std::vector<std::string> addresses = {"127.0.0.1"};  ///< IPv4 or IPv6; all listen on the same port
  std::uint16_t port = 0;                              ///< 0: a free one
  std::size_t workers = 4;                             ///< requests handled at one time
  std::size_t max_queue = 1024;                        ///< requests that wait for a worker; beyond it 503
  std::chrono::milliseconds idle_timeout{};            ///< an idle connection is closed after this; 0: never
  std::chrono::milliseconds linger{1000};              ///< after our FIN, for the client's (RFC 9112 section 9.6)
  std::uint64_t max_requests_per_conn = 0;             ///< the last response says Connection: close; 0: no limit
};

/// Who ended a connection, as this side saw it: the first FIN or RST on the wire.
enum class EndedBy { nobody_yet, server, client, unknown };

/// What the server knows of one connection. The test of the join compares timelines with it.
struct OriginConnection {
  std::uint64_t cookie = 0;  ///< SO_COOKIE of the accepted socket
  std::uint16_t peer_port = 0;
  std::uint16_t local_port = 0;
  std::uint64_t accepted_mono_ns = 0;
  std::uint64_t ended_mono_ns = 0;  ///< when the first FIN or RST was sent or noticed; 0: it lives
  std::uint64_t requests = 0;       ///< requests read completely
  EndedBy ended_by = EndedBy::nobody_yet;
  bool reset = false;      ///< it ended with RST
  bool came_late = false;  ///< after this side's FIN came a request, or a part of one, that nobody read
};

/// A small HTTP/1.1 server for examples and tests: keep-alive, one front thread on epoll, handlers on a WorkerPool.
///
///     /hello          200, "hello\n"                /close       the same, with Connection: close
///     /delay?ms=N     the same, after N ms          /chunked     three chunks
///     /bytes?n=N      200, N bytes                  /reset       RST instead of a response
///     anything else   404
///
/// Each 200 and 404 carries "Origin-Connection: COOKIE/N": the SO_COOKIE of the accepted socket, and which of its
/// requests this was, from 1. Idle connections occupy no worker. Request bodies are read and dropped.
///
/// Threading: any thread may call. Lifetime: the destructor closes everything and joins its threads.
/// Errors:    start() names the address and port that could not be had.
class OriginServer {
 public:
  [[nodiscard]] static Result<std::unique_ptr<OriginServer>> start(OriginOptions options = {});
  ~OriginServer();
  OriginServer(const OriginServer&) = delete;
  OriginServer& operator=(const OriginServer&) = delete;

  [[nodiscard]] std::uint16_t port() const;
  /// Every connection so far, in the order of their accepts.
  [[nodiscard]] std::vector<OriginConnection> connections() const;
  /// One JSON object a connection that has ended: for the program's --log.
  [[nodiscard]] static std::string to_json_line(const OriginConnection& connection);

 private:
  class Impl;
  explicit OriginServer(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace conntrace::example
