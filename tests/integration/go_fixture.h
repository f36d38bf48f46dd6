// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <future>
#include <set>
#include <string>
#include <vector>

#include "integration/transport_fixture.h"

namespace conntrace::test {

/// What the tests of docs/go-behaviours.md share. They are named after Go's and ask the same of this client.
class GoTest : public TransportTest {
 protected:
  /// The connection of each got_conn in turn.
  [[nodiscard]] std::vector<ConnectionId> connections() const {
    std::vector<ConnectionId> numbers;
    for (const Event& event : hooks_.events()) {
      if (event.kind() == EventKind::got_conn) numbers.push_back(event.header.connection);
    }
    return numbers;
  }
  /// Our ip:port of each got_conn in turn: what Go's servers answer with, r.RemoteAddr.
  [[nodiscard]] std::vector<std::string> ports() const {
    std::vector<std::string> all;
    for (const auto& got : hooks_.all<EventKind::got_conn>()) all.emplace_back(got.local);
    return all;
  }
  [[nodiscard]] std::vector<CloseReason> close_reasons(std::size_t count) {
    EXPECT_TRUE(hooks_.wait_for_count(EventKind::conn_closed, count));
    std::vector<CloseReason> reasons;
    for (const auto& end : hooks_.all<EventKind::conn_closed>()) reasons.push_back(end.reason);
    return reasons;
  }
  [[nodiscard]] std::uint64_t idle(const ScriptedServer& server) {
    for (const HostSnapshot& host : transport_->host_snapshots()) {
      if (host.host_port == "127.0.0.1:" + std::to_string(server.port())) return host.idle;
    }
    return 0;
  }
  static void expect_error(const Result<Response>& result, const std::error_code& code, Phase phase) {
    ASSERT_FALSE(result);
    EXPECT_EQ(result.error().code, code) << result.error().message();
    EXPECT_EQ(result.error().phase, phase) << to_string(result.error().phase);
  }
};

}  // namespace conntrace::test
