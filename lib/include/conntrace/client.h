// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <future>
#include <memory>
#include <span>
#include <string>

#include "conntrace/body_reader.h"
#include "conntrace/cookie_jar.h"
#include "conntrace/rate_limiter.h"
#include "conntrace/retry.h"
#include "conntrace/transport.h"

namespace conntrace {

/// A request that was answered by a redirect.
struct RedirectHop {
  RequestId request = 0;  ///< its number
  std::string method;
  std::string url;
  Headers headers;  ///< as they were sent, but for what the transport adds if missing (Host, …)
  int status = 0;   ///< of the redirect
};

/// A redirect that is about to be followed. Valid during the call.
struct RedirectStep {
  const Response& response;     ///< its head
  const std::string& next_url;  ///< where it leads
  const std::string& next_method;
  Headers& next_headers;  ///< of the request that follows, which alone they are for; may be changed. Cookies come later
  int followed = 0;       ///< redirects followed before it
  /// All requests so far, the oldest first; `response` answers the last one (Go's via).
  std::span<const RedirectHop> via;
};
enum class RedirectChoice {
  follow,
  use_response,  ///< the redirect itself is the response (Go's ErrUseLastResponse)
  fail,          ///< Errc::redirect_refused
};

struct ClientOptions {
  /// For requests that set none: everything together, redirects, pauses between attempts and the body included; 0: no
  /// limit.
  std::chrono::nanoseconds timeout{};
  /// Redirects that are followed for one request; one more fails it. 0: a redirect is the response.
  int max_redirects = 10;
  /// Asked before each redirect within max_redirects. An error that it returns is the request's. Error::response has
  /// the redirect that was not followed. Runs on the transport's thread.
  std::function<Result<RedirectChoice>(const RedirectStep&)> check_redirect;
  /// Cookies of responses, sent with later requests. Several clients may share one.
  std::shared_ptr<CookieJar> cookie_jar;
  /// Further attempts after errors and some statuses, each a request of its own with `retry_of`. Only for requests that
  /// may be sent twice (Go's rule: GET, HEAD, OPTIONS, TRACE, QUERY, or an Idempotency-Key) and whose body can be, and
  /// not once the application was shown a response. Nothing: none, but the transport's own repetition on a stale
  /// connection.
  std::shared_ptr<const RetryPolicy> retry;
  bool retry_non_idempotent = false;
  /// Each attempt and each redirect takes a token of both, and waits for it. The wait counts against the timeout.
  std::shared_ptr<RateLimiter> rate_limiter;
  std::shared_ptr<KeyedRateLimiter> rate_limiter_per_host;  ///< keys are host:port
  /// Without it a request that has neither Accept-Encoding nor Range asks for gzip, deflate, br and zstd, and gets its
  /// body decoded; Content-Encoding and Content-Length are removed then, and Response::uncompressed is set.
  bool disable_compression = false;
  std::uint64_t max_decoded_bytes = 0;  ///< of a body that was decoded; 0: no limit but on its ratio (256)
};

/// A pooled HTTP client that reports each step of a request to its traces.
///
/// Threading: any thread may call. Lifetime: shares the Transport.
/// Errors:    Result<Response>: error_code of the system, curl or conntrace category, the phase that failed, and the
///            time spent in each. An HTTP status of 400 and more is a response, not an error.
/// Hooks:     a redirect or a retry is a request of its own, with its own number and hooks, and names the one before it
///            (redirected_from, retry_of). Response::request is the last one's.
/// Source:    Go's net/http.Client.
class Client {
 public:
  explicit Client(std::shared_ptr<Transport> transport, ClientOptions options = {});

  /// Three ways to send the same request. The callback runs on the transport's thread, exactly once. The number is that
  /// of the first request; to cancel the whole, use Request::stop.
  RequestId send(Request request, Completion done);
  [[nodiscard]] std::future<Result<Response>> send_async(Request request);
  /// Blocking: until the response is complete. Must not be called on the transport's thread: it
  /// would wait for itself.
  [[nodiscard]] Result<Response> send(Request request);

  [[nodiscard]] Result<Response> get(std::string url);
  /// Sends, and returns when the head of the response is there; its body is read as it arrives. The request must have
  /// no on_body. Blocking, as send().
  [[nodiscard]] Result<OpenResponse> open(Request request);

  [[nodiscard]] Transport& transport() const { return *transport_; }

 private:
  std::shared_ptr<Transport> transport_;
  std::shared_ptr<const ClientOptions> options_;
};

}  // namespace conntrace
