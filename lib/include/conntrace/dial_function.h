// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <stop_token>
#include <string>

#include "conntrace/clock.h"
#include "conntrace/error.h"
#include "conntrace/ids.h"
#include "conntrace/unique_fd.h"

namespace conntrace {

class WorkerPool;

/// What a dial function is asked for: a way to the first hop, which is the proxy, or the target if there is none.
struct DialRequest {
  ConnectionId connection = 0;  ///< what events call the connection by
  std::string host;             ///< name or address, without brackets
  std::uint16_t port = 0;
  bool tls = false;     ///< the hop speaks TLS: an https target, or an https proxy
  MonoTime deadline{};  ///< when the transport gives the dial up (dial_timeout); MonoTime::max(): never
  /// Asked to stop when the dial was given up: its time is over, nobody waits for it, the transport ends.
  std::stop_token stop;
};

/// A connected stream socket, of any family. The transport makes it non-blocking and closes it in the end; options such
/// as TCP_NODELAY are as the function left them.
struct DialledSocket {
  UniqueFd fd;
  /// TLS with the hop is done, by whoever is at the other end of `fd` (a TLS library behind a socketpair, a sidecar):
  /// the bytes of HTTP are sent as they are. TransportOptions::tls and the TLS hooks have no part in it.
  bool tls_done = false;
};

/// Ends a dial, with a socket or an error. Threading: any thread, at any time; the first call counts. The socket of a
/// later one, or of one that comes when the dial was given up or the transport is gone, is closed.
using DialCompletion = std::function<void(Result<DialledSocket>)>;

/// Makes connections in the place of name resolution and connect: to Unix sockets, pinned addresses, by proxies of its
/// own. What follows (CONNECT, SOCKS5, TLS) is the transport's, and so are all limits: the dial counts, waits and is
/// abandoned as any other. It is not the request's that began it: like any dial it goes on when that request ends.
///
/// Threading: called on the transport's thread, and must not block there; it may complete before it returns.
/// Errors:    those it completes with are the requests', in Phase::connect; EMFILE and ENFILE (system category) make
///            room as in dials of the transport. If it throws, gives no connected stream socket, or drops the last copy
///            of its completion uncalled: dial_function_failed. If it takes longer than dial_timeout: timeout.
/// Hooks:     no dns_start and dns_done; one connect_start and connect_done, whose network is "dial" and whose address
/// is
///            what was asked for. got_conn and conn_closed have the addresses of the socket.
/// Source:    Go's Transport.DialContext; with tls_done DialTLSContext.
using DialFunction = std::function<void(const DialRequest&, DialCompletion)>;

/// Always to this Unix domain socket; '@' in front means the abstract namespace (unix(7)). If the server's backlog is
/// full the dial fails with EAGAIN: the kernel offers no waiting for it without blocking.
[[nodiscard]] DialFunction dial_unix(std::string path);

/// A function that blocks, as a dial function: it runs on the pool's threads. A full queue fails the dial (queue_full).
[[nodiscard]] DialFunction dial_on(std::shared_ptr<WorkerPool> pool,
                                   std::function<Result<DialledSocket>(const DialRequest&)> connect);

}  // namespace conntrace
