// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <tuple>

#include "conntrace/field.h"
#include "conntrace/reasons.h"
#include "conntrace/request.h"
#include "conntrace/text.h"

namespace conntrace {

// Payloads of a request's life. Each is also the argument of the hook of the same name (client_trace.h).
// Text and List are views: a hook must copy what it keeps.

struct RequestStartInfo {
  Text method;
  Text url;
  Text host;
  Text traceparent;
  std::optional<std::uint64_t> redirected_from;
  std::optional<std::uint64_t> retry_of;
  static constexpr auto fields() {
    return std::tuple{
        Field{"method", &RequestStartInfo::method, "HTTP method"},
        Field{"url", &RequestStartInfo::url, "redacted: query values are *, credentials removed"},
        Field{"host", &RequestStartInfo::host, "host:port of the target"},
        Field{"traceparent", &RequestStartInfo::traceparent, "W3C trace context, if the application set one"},
        Field{"redirected_from", &RequestStartInfo::redirected_from, "request whose response sent the client here"},
        Field{"retry_of", &RequestStartInfo::retry_of, "request whose failure this one makes up for"}};
  }
};

struct WroteHeaderFieldInfo {
  Text key;
  List<Text> values;
  static constexpr auto fields() {
    return std::tuple{Field{"key", &WroteHeaderFieldInfo::key, "field name"},
                      Field{"values", &WroteHeaderFieldInfo::values, "its values"}};
  }
};

struct WroteHeadersInfo {
  std::uint64_t bytes = 0;
  static constexpr auto fields() { return std::tuple{Field{"bytes", &WroteHeadersInfo::bytes, "bytes of the head"}}; }
};

struct Wait100ContinueInfo {
  static constexpr auto fields() { return std::tuple{}; }
};

struct WroteRequestInfo {
  std::uint64_t bytes = 0;
  Text error;
  static constexpr auto fields() {
    return std::tuple{Field{"bytes", &WroteRequestInfo::bytes, "bytes of head and body that the socket accepted"},
                      Field{"error", &WroteRequestInfo::error, "empty: all of it"}};
  }
};

struct GotFirstResponseByteInfo {
  static constexpr auto fields() { return std::tuple{}; }
};

struct Got100ContinueInfo {
  static constexpr auto fields() { return std::tuple{}; }
};

struct Got1xxResponseInfo {
  int code = 0;
  /// Its header fields, for the hook only: they are there during the call, and never recorded.
  const Headers* headers = nullptr;
  static constexpr auto fields() { return std::tuple{Field{"code", &Got1xxResponseInfo::code, "status code"}}; }
};

struct ResponseHeadInfo {
  int status = 0;
  Text protocol;
  std::optional<std::uint64_t> content_length;
  bool keep_alive = false;
  static constexpr auto fields() {
    return std::tuple{Field{"status", &ResponseHeadInfo::status, "status code"},
                      Field{"protocol", &ResponseHeadInfo::protocol, "http/1.1 or http/1.0"},
                      Field{"content_length", &ResponseHeadInfo::content_length, "if the head says it"},
                      Field{"keep_alive", &ResponseHeadInfo::keep_alive, "the peer is willing to keep the connection"}};
  }
};

struct BodyDoneInfo {
  std::uint64_t bytes = 0;
  Text error;
  std::uint64_t held_ns = 0;
  static constexpr auto fields() {
    return std::tuple{Field{"bytes", &BodyDoneInfo::bytes, "bytes of the body, framing excluded"},
                      Field{"error", &BodyDoneInfo::error, "empty: complete"},
                      Field{"held_ns", &BodyDoneInfo::held_ns, "for how long the application had it wait"}};
  }
};

struct BodyHeldInfo {
  std::uint64_t held_ns = 0;
  std::uint64_t bytes = 0;
  static constexpr auto fields() {
    return std::tuple{Field{"held_ns", &BodyHeldInfo::held_ns, "since the application paused"},
                      Field{"bytes", &BodyHeldInfo::bytes, "bytes of the body that it has taken"}};
  }
};

struct BodyClosedInfo {
  BodyOutcome outcome = {};
  static constexpr auto fields() { return std::tuple{Field{"outcome", &BodyClosedInfo::outcome, "how it ended"}}; }
};

struct RetryInfo {
  Text reason;
  std::uint32_t next_attempt = 0;
  static constexpr auto fields() {
    return std::tuple{Field{"reason", &RetryInfo::reason, "why it may be retried"},
                      Field{"next_attempt", &RetryInfo::next_attempt, "number of the attempt that follows"}};
  }
};

struct RedirectInfo {
  int status = 0;
  Text location;
  std::uint64_t next_request = 0;
  static constexpr auto fields() {
    return std::tuple{Field{"status", &RedirectInfo::status, "status code"},
                      Field{"location", &RedirectInfo::location, "redacted target"},
                      Field{"next_request", &RedirectInfo::next_request, "request that follows it"}};
  }
};

struct RequestDoneInfo {
  int status = 0;
  Text error;
  Phase error_phase = Phase::none;
  std::uint64_t duration_ns = 0;
  std::uint64_t body_bytes = 0;
  static constexpr auto fields() {
    return std::tuple{Field{"status", &RequestDoneInfo::status, "status code, 0 if there was no response"},
                      Field{"error", &RequestDoneInfo::error, "empty: a complete response"},
                      Field{"error_phase", &RequestDoneInfo::error_phase, "phase that failed"},
                      Field{"duration_ns", &RequestDoneInfo::duration_ns, "since request_start"},
                      Field{"body_bytes", &RequestDoneInfo::body_bytes, "bytes of the response body"}};
  }
};

struct LiveRequestInfo {
  Text method;
  Text url;
  Text host;
  std::uint64_t start_mono_ns = 0;
  Phase phase = Phase::none;
  static constexpr auto fields() {
    return std::tuple{Field{"method", &LiveRequestInfo::method, "HTTP method"},
                      Field{"url", &LiveRequestInfo::url, "redacted"},
                      Field{"host", &LiveRequestInfo::host, "host:port"},
                      Field{"start_mono_ns", &LiveRequestInfo::start_mono_ns, "when it was handed to the transport"},
                      Field{"phase", &LiveRequestInfo::phase, "where it is now"}};
  }
};

}  // namespace conntrace
