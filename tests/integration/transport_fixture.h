// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <optional>
#include <string>

#include "conntrace/client.h"
#include "support/hook_recorder.h"
#include "support/scripted_server.h"

namespace conntrace::test {

/// A transport whose every hook is recorded. At the end it is shut down and the recording must break no rule.
class TransportTest : public testing::Test {
 protected:
  /// Makes the transport; once a test.
  Client& use(TransportOptions options = {}) {
    options.trace = hooks_.trace();
    transport_ = std::make_shared<Transport>(std::move(options));
    client_.emplace(transport_);
    return *client_;
  }

  void TearDown() override {
    client_.reset();
    transport_.reset();
    EXPECT_EQ(hooks_.broken_rule(), "");
    if (HasFailure()) std::cerr << hooks_.dump();
  }

  /// The one closed connection's payload, when there is one.
  [[nodiscard]] ConnClosedInfo closed() {
    EXPECT_TRUE(hooks_.wait_for_count(EventKind::conn_closed, 1));
    const auto all = hooks_.all<EventKind::conn_closed>();
    return all.empty() ? ConnClosedInfo{} : all.front();
  }
  [[nodiscard]] CloseReason close_reason() { return closed().reason; }

  HookRecorder hooks_;
  std::shared_ptr<Transport> transport_;
  std::optional<Client> client_;
};

constexpr const char* kExchange =
    "got_conn wrote_headers wrote_request got_first_response_byte response_head body_done ";

}  // namespace conntrace::test
