// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "timeline/model.h"

namespace conntrace::cli {

// Sentences for people out of the facts of timelines. Plain text; nothing is shortened here.

/// "17" of "1f2e3d4c-4242-123450000000/17".
[[nodiscard]] std::string short_id(const std::string& id);
/// "checkout (4242)"
[[nodiscard]] std::string process_text(const ProcessFacts& process);
[[nodiscard]] std::string blocked_text(const PhaseTimeline& phase, const BlockedFacts& blocked);
[[nodiscard]] std::string holders_text(const BlockedFacts& blocked);
[[nodiscard]] std::string dns_text(const DnsFacts& dns);
[[nodiscard]] std::string exchange_text(const DnsExchange& exchange);
[[nodiscard]] std::string connect_text(const ConnectAttempt& attempt);
[[nodiscard]] std::string tls_text(const TlsFacts& tls);
[[nodiscard]] std::string proxy_text(const ProxyFacts& proxy);
[[nodiscard]] std::string earlier_text(const EarlierAttempt& attempt);
/// "idle_timeout, by local, fin" with errno and "(inferred)" where they apply.
[[nodiscard]] std::string closed_text(const ClosedFacts& closed);
[[nodiscard]] std::string rejected_text(const RejectedConnection& rejected);
[[nodiscard]] std::string connection_text(const RequestConnection& connection);
/// What became of it after the request; empty if that is not known.
[[nodiscard]] std::string after_text(const RequestConnection& connection);
[[nodiscard]] std::string fds_text(const FdFacts& fds);

}  // namespace conntrace::cli
