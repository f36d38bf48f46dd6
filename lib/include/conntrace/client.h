// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <future>
#include <memory>
#include <string>

#include "conntrace/body_reader.h"
#include "conntrace/transport.h"

namespace conntrace {

struct ClientOptions {
  /// For requests that set none; 0: no limit.
  std::chrono::nanoseconds timeout{};
};

/// A pooled HTTP client that reports each step of a request to its traces.
///
/// Threading: any thread may call. Lifetime: shares the Transport.
/// Errors:    Result<Response>: error_code of the system, curl or conntrace category, and the phase that failed. An
/// HTTP
///            status of 400 and more is a response, not an error.
class Client {
 public:
  explicit Client(std::shared_ptr<Transport> transport, ClientOptions options = {});

  /// Three ways to send the same request. The callback runs on the transport's thread.
  RequestId send(Request request, Completion done);
  [[nodiscard]] std::future<Result<Response>> send_async(Request request);
  /// Blocking: until the response is complete. Must not be called on the transport's thread: it
  /// would wait for itself.
  [[nodiscard]] Result<Response> send(Request request);

  [[nodiscard]] Result<Response> get(std::string url);
  /// Sends, and returns when the head of the response is there; its body is read as it arrives. The request must have
  /// no on_body.
  [[nodiscard]] Result<OpenResponse> open(Request request);

  [[nodiscard]] Transport& transport() const { return *transport_; }

 private:
  std::shared_ptr<Transport> transport_;
  ClientOptions options_;
};

}  // namespace conntrace
