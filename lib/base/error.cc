// SPDX-License-Identifier: Apache-2.0
#include "conntrace/error.h"

#include <fmt/format.h>

namespace conntrace {
namespace {

class ConntraceCategory final : public std::error_category {
 public:
  const char* name() const noexcept override { return "conntrace"; }
  std::string message(int value) const override {
    switch (static_cast<Errc>(value)) {
      case Errc::ok: return "success";
      case Errc::invalid_request: return "the request cannot be sent as it is";
      case Errc::name_not_resolved: return "the name does not resolve";
      case Errc::cancelled: return "cancelled";
      case Errc::timeout: return "timed out";
      case Errc::closed_before_response: return "the server closed the connection before it responded";
      case Errc::protocol_error: return "the response is not valid HTTP";
      case Errc::header_too_large: return "the response head is too large";
      case Errc::body_too_large: return "the response body is too large";
      case Errc::queue_full: return "too many are waiting already";
      case Errc::shutdown: return "the transport ended";
      case Errc::bad_record: return "not an event record";
      case Errc::newer_schema: return "written by a newer version";
      case Errc::body_source_failed: return "the request body could not be made";
      case Errc::not_built: return "this build does not contain it";
      case Errc::content_corrupt: return "the body does not decode";
      case Errc::acquire_timeout: return "no connection could be had in time";
      case Errc::content_truncated: return "the coded body ends too early";
      case Errc::too_many_redirects: return "too many redirects";
      case Errc::exceeds_burst: return "more than the rate limit's burst";
      case Errc::rate_limited: return "the rate limit would allow it only after the deadline";
      case Errc::proxy_refused: return "the proxy refused";
      case Errc::not_tls: return "server gave HTTP response to HTTPS client";
      case Errc::not_http1: return "the server does not speak HTTP/1.1";
      case Errc::redirect_refused: return "the redirect policy refused";
      case Errc::dial_function_failed: return "the dial function failed";
    }
    return "unknown error";
  }
  std::error_condition default_error_condition(int value) const noexcept override {
    switch (static_cast<Errc>(value)) {
      case Errc::timeout:
      case Errc::acquire_timeout: return std::errc::timed_out;
      case Errc::cancelled: return std::errc::operation_canceled;
      default: return {value, *this};
    }
  }
};

}  // namespace

const std::error_category& conntrace_category() noexcept {
  static const ConntraceCategory category;
  return category;
}

std::error_code make_error_code(Errc code) noexcept { return {static_cast<int>(code), conntrace_category()}; }

std::string Error::message() const { return context.empty() ? code.message() : context + ": " + code.message(); }

std::string Error::with_times() const {
  std::string out = message();
  if (phase == Phase::none && spent.empty()) return out;
  std::string details = phase != Phase::none ? "in " + std::string(to_string(phase)) : std::string();
  const char* separator = details.empty() ? "" : "; ";
  for (const PhaseTime& part : spent) {
    details += fmt::format("{}{} {:.1f} ms", separator, to_string(part.phase),
                           std::chrono::duration<double, std::milli>(part.time).count());
    separator = ", ";
  }
  return out + " (" + details + ")";
}

Error Error::within(std::string_view outer) && {
  context = context.empty() ? std::string(outer) : std::string(outer) + ": " + context;
  return std::move(*this);
}

Error make_error(Errc code, std::string context, Phase phase) {
  return {make_error_code(code), std::move(context), phase};
}

Error system_error(int error_number, std::string context, Phase phase) {
  return {std::error_code(error_number, std::system_category()), std::move(context), phase};
}

Error unrecoverable(Error error) {
  error.recoverable = false;
  return error;
}

}  // namespace conntrace
