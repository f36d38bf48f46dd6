// SPDX-License-Identifier: Apache-2.0
#include "conntrace/client_trace.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace conntrace {
namespace {

ClientTrace trace_into(std::vector<std::string>& calls, const std::string& name) {
  ClientTrace trace;
  trace.get_conn = [&calls, name](const HookContext&, const GetConnInfo&) { calls.push_back(name); };
  return trace;
}

TEST(Compose, CallsTheNewerFirstAndChangesNeitherOperand) {
  std::vector<std::string> calls;
  const ClientTrace older = trace_into(calls, "older");
  const ClientTrace newer = trace_into(calls, "newer");
  const ClientTrace composed = compose(newer, older);
  composed.get_conn({}, {});
  EXPECT_EQ(calls, (std::vector<std::string>{"newer", "older"}));
  calls.clear();
  older.get_conn({}, {});
  newer.get_conn({}, {});
  EXPECT_EQ(calls, (std::vector<std::string>{"older", "newer"}));
}

TEST(Compose, FillsEmptyHooksFromEitherAndLeavesTheRestEmpty) {
  std::vector<std::string> calls;
  const ClientTrace one = trace_into(calls, "one");
  compose(one, {}).get_conn({}, {});
  compose({}, one).get_conn({}, {});
  EXPECT_EQ(calls.size(), 2u);
  EXPECT_FALSE(compose(one, one).got_conn);
}

TEST(Compose, SameTraceTwiceRunsTwice) {
  std::vector<std::string> calls;
  const ClientTrace one = trace_into(calls, "one");
  compose(one, one).get_conn({}, {});
  EXPECT_EQ(calls.size(), 2u);
}

TEST(Compose, InterimHookRunsBothAndReturnsTheFirstError) {
  int calls = 0;
  ClientTrace fails;
  fails.got_1xx_response = [&](const HookContext&, const Got1xxResponseInfo&) {
    ++calls;
    return std::make_error_code(std::errc::operation_canceled);
  };
  ClientTrace passes;
  passes.got_1xx_response = [&](const HookContext&, const Got1xxResponseInfo&) {
    ++calls;
    return std::error_code();
  };
  EXPECT_EQ(compose(fails, passes).got_1xx_response({}, {}), std::errc::operation_canceled);
  EXPECT_EQ(compose(passes, fails).got_1xx_response({}, {}), std::errc::operation_canceled);
  EXPECT_EQ(calls, 4);
}

}  // namespace
}  // namespace conntrace
