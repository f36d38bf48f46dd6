// SPDX-License-Identifier: Apache-2.0
#include "oracle/go_lines.h"

#include <curl/curl.h>
#include <openssl/x509_vfy.h>

#include <cerrno>

namespace conntrace::test {
namespace {

std::string text(bool value) { return value ? "true" : "false"; }
std::string text(const Text& value) { return std::string(value); }

std::string words(const List<Text>& list, const char* between) {
  std::string joined;
  for (const Text& each : list) joined += (joined.empty() ? "" : between) + text(each);
  return joined;
}

/// libcurl's words for an end without an alert (there is no errno), which it has for nothing else.
constexpr std::string_view kTlsEnd = "SSL_connect: SSL_ERROR_SYSCALL";

bool has(std::string_view text, std::string_view part) { return text.find(part) != std::string_view::npos; }

/// A hook's error is text; where there is a number besides, the number decides.
std::string class_of(const ConnectDoneInfo& info) {
  if (info.outcome == ConnectOutcome::connected) return "ok";
  if (info.outcome == ConnectOutcome::lost_race || info.outcome == ConnectOutcome::abandoned) return "cancelled";
  if (info.outcome == ConnectOutcome::timed_out) return "timeout";
  return info.error_number == ECONNREFUSED ? "refused" : text(info.error);
}

std::string class_of(const TlsHandshakeDoneInfo& info) {
  if (info.error.empty()) return "ok";
  const bool unknown = info.verify_code == X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT ||
                       info.verify_code == X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN ||
                       info.verify_code == X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY;
  if (has(info.error, kTlsEnd)) return "eof";
  return unknown ? "unknown_authority" : text(info.error);
}

std::string class_of(const DnsDoneInfo& info) {
  if (info.error.empty()) return "ok";
  return has(info.error, "Name or service not known") ? "no_such_host" : text(info.error);
}

std::string class_of(const Text& error) { return error.empty() ? "ok" : text(error); }

struct Wording {
  const Event& event;
  const ConnectionNumbers& numbers;

  std::string operator()(const GetConnInfo& info) const { return "get_conn " + text(info.host_port); }
  std::string operator()(const GotConnInfo& info) const {
    return "got_conn " + std::to_string(numbers.at(event.header.connection)) + " reused=" + text(info.reused) +
           " was_idle=" + text(info.was_idle) + " idle_time=" + text(info.idle_ns.value_or(0) > 0);
  }
  std::string operator()(const PutIdleConnInfo& info) const { return "put_idle_conn " + class_of(info.error); }
  std::string operator()(const GotFirstResponseByteInfo&) const { return "got_first_response_byte"; }
  std::string operator()(const Got100ContinueInfo&) const { return "got_100_continue"; }
  std::string operator()(const Got1xxResponseInfo& info) const {
    return "got_1xx_response " + std::to_string(info.code);
  }
  std::string operator()(const DnsStartInfo& info) const { return "dns_start " + text(info.host); }
  std::string operator()(const DnsDoneInfo& info) const {
    return "dns_done " + class_of(info) + " coalesced=" + text(info.coalesced) + " [" + words(info.addresses, " ") +
           "]";
  }
  std::string operator()(const ConnectStartInfo& info) const {
    return "connect_start " + text(info.network) + " " + text(info.address);
  }
  std::string operator()(const ConnectDoneInfo& info) const {
    return "connect_done " + text(info.network) + " " + text(info.address) + " " + class_of(info);
  }
  std::string operator()(const TlsHandshakeStartInfo&) const { return "tls_handshake_start"; }
  std::string operator()(const TlsHandshakeDoneInfo& info) const {
    return "tls_handshake_done " + class_of(info) + " " + (info.error.empty() ? text(info.version) : "-");
  }
  std::string operator()(const WroteHeaderFieldInfo& info) const {
    return "wrote_header_field " + text(info.key) + ": " + words(info.values, " | ");
  }
  std::string operator()(const WroteHeadersInfo&) const { return "wrote_headers"; }
  std::string operator()(const Wait100ContinueInfo&) const { return "wait_100_continue"; }
  std::string operator()(const WroteRequestInfo& info) const { return "wrote_request " + class_of(info.error); }
  /// Ours alone.
  template <class Info>
  std::optional<std::string> operator()(const Info&) const {
    return std::nullopt;
  }
};

}  // namespace

std::optional<std::string> go_line(const Event& event, const ConnectionNumbers& numbers) {
  return std::visit(
      [&](const auto& info) -> std::optional<std::string> {
        return Wording{event, numbers}(info);
      },
      event.payload);
}

std::string error_class(const Error& error) {
  if (error.code == std::errc::connection_refused) return "refused";
  if (error.code == Errc::name_not_resolved) return "no_such_host";
  if (error.code == Errc::closed_before_response) return "eof";
  if (error.code == Errc::cancelled) return "cancelled";
  if (error.code == Errc::protocol_error && has(error.context, "the connection ended ")) return "unexpected_eof";
  const bool of_curl = error.code.category() == curl_category();
  if (of_curl && error.code.value() == CURLE_PEER_FAILED_VERIFICATION) return "unknown_authority";
  if (of_curl && has(error.context, kTlsEnd)) return "eof";
  return error.message();
}

}  // namespace conntrace::test
