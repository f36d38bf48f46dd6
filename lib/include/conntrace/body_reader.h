// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <memory>
#include <string>

#include "conntrace/error.h"
#include "conntrace/response.h"

namespace conntrace {

class Transport;

/// The body of a response, read while it arrives (Client::open). It buffers up to 64 KiB; beyond that the connection is
/// not read, and TCP slows the server down.
///
/// Threading: one thread at a time, not the transport's.
/// Lifetime:  shares the Transport. Destroying it gives up what is left: a short rest is read and thrown away so that
/// the
///            connection can be kept, else the connection is closed; body_closed says which.
/// Blocking:  read() and read_all() wait for bytes, the end, or the end of the request (its timeout, its stop_token).
class BodyReader {
 public:
  class Pipe;
  BodyReader(std::shared_ptr<Transport> transport, std::shared_ptr<Pipe> pipe);
  ~BodyReader();
  BodyReader(BodyReader&&) noexcept;
  BodyReader& operator=(BodyReader&&) noexcept;

  /// Takes up to `room` bytes; 0 is the end of the body. What arrived before an error is given before the error.
  [[nodiscard]] Result<std::size_t> read(char* into, std::size_t room);
  /// The rest of the body. Errors: body_too_large beyond max_bytes; the body is given up then.
  [[nodiscard]] Result<std::string> read_all(std::size_t max_bytes = std::string::npos);
  /// What the destructor does. Nothing may be read afterwards.
  void close();

 private:
  std::shared_ptr<Transport> transport_;
  std::shared_ptr<Pipe> pipe_;
};

/// A response whose body is still to come.
struct OpenResponse {
  Response head;  ///< its body is empty
  BodyReader body;
};

}  // namespace conntrace
