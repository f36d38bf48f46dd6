// SPDX-License-Identifier: Apache-2.0
#include "render/summary.h"

#include <gtest/gtest.h>

namespace conntrace::cli {
namespace {

std::string shown(const Summary& summary, const CorrelatorStats& stats = {}) {
  std::string out;
  summary.render(stats, {.width = 100}, out);
  return out;
}

RequestTimeline request(std::optional<bool> reused, std::uint64_t queued_ns, bool failed = false) {
  RequestTimeline out;
  if (reused) out.connection = RequestConnection{.number = 1, .reused = reused};
  if (queued_ns != 0) out.phases.push_back({Phase::blocked, 0, queued_ns, BlockedFacts{.cause = "max_conns_per_host"}});
  if (failed) out.error = RequestError{"refused", Phase::connect};
  return out;
}

TEST(Summary, of_nothing) {
  EXPECT_EQ(shown(Summary()),
            "Summary\n"
            "requests     0: 0 ok, 0 failed\n"
            "queue        nobody waited behind a limit\n"
            "connections  0: 0 closed (0 of them never usable), 0 still open\n"
            "records      0: 0 used, 0 of unknown kind, 0 without a match; 0 lost\n");
}

TEST(Summary, counts) {
  Summary summary;
  summary.add(request(false, 0));
  summary.add(request(true, 10'000'000));
  summary.add(request(true, 30'000'000));
  summary.add(request(std::nullopt, 0, true));
  RequestTimeline late_bound = request(true, 0);
  late_bound.phases.push_back({Phase::blocked, 0, 5, BlockedFacts{.cause = "dial"}});  // no limit
  summary.add(late_bound);

  ConnectionTimeline closed;
  closed.closed = ClosedFacts{.reason = CloseReason::idle_timeout, .by = ClosedBy::local};
  summary.add(closed);
  closed.closed = ClosedFacts{.reason = CloseReason::dial_failed, .by = ClosedBy::peer};
  summary.add(closed);
  summary.add(ConnectionTimeline{});

  ProcessTimeline process;
  process.process = {.pid = 42, .comm = "app"};
  process.fds.emplace();
  process.fds->open = 90;
  process.fds->soft_limit = 100;
  process.findings.push_back({"fd_limit_near", Severity::warning, ""});
  summary.add(process);
  process.fds->open = 10;
  process.findings.clear();
  summary.add(process);

  EXPECT_EQ(shown(summary, {.records = 12, .used = 9, .unknown = 1, .unmatched = 2, .late = 1, .lost = 3}),
            "Summary\n"
            "requests     5: 4 ok, 1 failed\n"
            "reuse        3 of 4 on a used connection (75.0 %)\n"
            "queue        2 waited 40.0 ms in all, p50 10.0 ms, longest 30.0 ms\n"
            "connections  3: 2 closed (1 of them never usable), 1 still open\n"
            "closed for   idle_timeout 1, dial_failed 1\n"
            "closed by    local 1, peer 1\n"
            "descriptors  app (42): 10 of 100 descriptors open (10 %), at most 90\n"
            "findings     fd_limit_near 1\n"
            "records      12: 9 used, 1 of unknown kind, 2 without a match; 1 came late; 3 lost\n");
}

}  // namespace
}  // namespace conntrace::cli
