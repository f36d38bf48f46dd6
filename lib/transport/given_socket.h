// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/socket.h>

#include <functional>
#include <memory>

#include "conntrace/dial_function.h"
#include "transport/connect_attempts.h"
#include "transport/loop_gate.h"

namespace conntrace::transport {

/// A socket of the application's dial function, and what is told of it.
struct GivenSocket {
  UniqueFd fd;
  ConnectAttempt attempt;
  bool tls_done = false;
};

/// The one answer of a dial function, brought to the loop: `take` gets the first that comes, on a later turn; the
/// sockets of others are closed. A function that drops all copies of the completion has answered, too: with an error.
[[nodiscard]] DialCompletion one_answer(std::shared_ptr<LoopGate> gate,
                                        std::function<void(Result<DialledSocket>)> take);

/// Makes the socket fit for the loop. Errors: dial_function_failed if it is no connected stream socket; its own error
/// if the peer has reset it.
[[nodiscard]] Result<void> adopt_socket(int fd);

/// A socket that libcurl may connect at once, to where `address` leads afterwards, but that it cannot write to: then it
/// waits, asks for the socket to be watched, and a GivenSocket can take the descriptor over (dup3).
///
/// CURL_SOCKOPT_ALREADY_CONNECTED would be the plain way. libcurl 7.88, which Debian 12 has, connects such a socket
/// nevertheless and fails with EISCONN (curl#10648); this way works with all versions, and without the network: it is a
/// datagram socket of AF_UNIX, connected to itself, whose send buffer a message to itself has filled.
///
/// Errors: errno.
[[nodiscard]] UniqueFd make_placeholder(sockaddr& address, unsigned& size);

}  // namespace conntrace::transport
