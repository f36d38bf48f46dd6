// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "conntrace/response.h"
#include "conntrace/transport.h"
#include "join_witness.h"
#include "origin_server.h"

namespace conntrace::test {

/// What happened, by the word of everybody but the library's records.
struct Evidence {
  std::map<RequestId, Result<Response>> answers;                        ///< what the application got
  std::map<ConnectionId, SocketWitness::Socket> sockets;                ///< what the client's sockets said
  std::map<Ports, std::uint64_t> diag;                                  ///< what sock_diag said, at several moments
  std::map<Ports, example::OriginConnection> accepted;                  ///< what the servers saw
  std::map<std::uint64_t, example::OriginConnection> by_server_cookie;  ///< the same
  std::uint64_t closes = 0;                                             ///< conn_closed hooks
  PoolSnapshot last_snapshot;                                           ///< before the transport ended
};

/// Sends a few hundred requests to two origins, one of which closes idle connections and ends a connection after eight
/// requests, so that connections are reused, queued for, evicted, reset, timed out, cancelled, abandoned and refused.
/// The transport's trace is `trace` and the witness'. When it returns, transport and servers are gone.
[[nodiscard]] Evidence run_traffic(const ClientTrace& trace);

}  // namespace conntrace::test
