// SPDX-License-Identifier: Apache-2.0
// 100,000 requests to servers that do harm, by clients that change their minds: at the end everything balances.
//
// CONNTRACE_STRESS_REQUESTS: how many, all cases together. CONNTRACE_STRESS_SEED: which; what it was is printed.
#include <dirent.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <iostream>
#include <random>

#include "integration/chaos_run.h"
#include "support/deadline.h"
#include "support/hook_balance.h"
#include "support/sanitized.h"

namespace conntrace::test {
namespace {

using std::chrono::milliseconds;

constexpr std::size_t kThreads = 12;

std::uint64_t from_environment(const char* name, std::uint64_t otherwise) {
  const char* const text = std::getenv(name);
  return text != nullptr && *text != '\0' ? std::strtoull(text, nullptr, 10) : otherwise;
}

std::uint64_t total_requests() { return from_environment("CONNTRACE_STRESS_REQUESTS", kSanitized ? 10'000 : 100'000); }

std::uint64_t seed() {
  static const std::uint64_t value = from_environment("CONNTRACE_STRESS_SEED", std::random_device{}());
  return value;
}

std::size_t open_descriptors() {
  std::size_t count = 0;
  DIR* const folder = opendir("/proc/self/fd");
  while (readdir(folder) != nullptr) ++count;
  closedir(folder);
  return count;
}

struct ChaosCase {
  const char* name;
  std::uint64_t percent;  ///< of all requests
  TransportOptions transport;
  ChaosAllows allows = {};
  bool tls = false;
  bool retries = false;
  bool uses_doors = false;
  std::uint64_t hosts = 6;
};

void PrintTo(const ChaosCase& chaos, std::ostream* out) { *out << chaos.name; }

std::vector<ChaosCase> cases() {
  return {
      {.name = "Defaults", .percent = 28, .transport = {}, .uses_doors = true},
      {.name = "Retries", .percent = 10, .transport = {}, .retries = true},
      {.name = "OneConnectionPerHost", .percent = 10, .transport = {.max_conns_per_host = 1}, .hosts = 3},
      {.name = "OneConnectionInAll", .percent = 8, .transport = {.max_total_conns = 1}, .hosts = 2},
      {.name = "OneDialAtATime", .percent = 10, .transport = {.max_concurrent_dials = 1}},
      {.name = "ShortQueue",
       .percent = 10,
       .transport = {.max_conns_per_host = 3, .max_queue = 12, .acquire_timeout = milliseconds(20)},
       .allows = {.queue_full = true, .acquire_timeout = true},
       .hosts = 3},
      {.name = "AllLimits",
       .percent = 8,
       .transport = {.max_idle_conns = 4,
                     .max_idle_conns_per_host = 1,
                     .max_conns_per_host = 2,
                     .max_total_conns = 5,
                     .max_concurrent_dials = 2,
                     .idle_conn_timeout = milliseconds(3),
                     .max_conn_lifetime = milliseconds(20),
                     .max_conn_lifetime_jitter = 0.5,
                     .max_requests_per_conn = 5,
                     .idle_order = IdleOrder::least_recently_used},
       .hosts = 4},
      {.name = "KeepsNothing", .percent = 4, .transport = {.disable_keep_alives = true}},
      {.name = "Tls", .percent = 6, .transport = {.max_conns_per_host = 6}, .tls = true, .uses_doors = true},
  };
}

/// What the shutdown test gets.
constexpr std::uint64_t kShutdownPercent = 6;

class ChaosTest : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    std::cout << "CONNTRACE_STRESS_SEED=" << seed() << " CONNTRACE_STRESS_REQUESTS=" << total_requests() << std::endl;
    // What the resolver and the TLS library open once and keep is open before anything is counted.
    const HostileServer server(true);
    Client client(std::make_shared<Transport>(TransportOptions{.tls = {.ca_file = server.certificate_file()}}));
    const auto first = client.get("https://localhost:" + std::to_string(server.port()) + "/sized/1/1");
    ASSERT_TRUE(first) << first.error().message();
  }

  static TransportOptions with_patience(TransportOptions options) {
    // Short, so that what hangs on purpose is over soon; but no good dial may take that long.
    options.dial_timeout = options.tls_handshake_timeout = milliseconds(5000);
    options.expect_continue_timeout = milliseconds(3);
    options.body_held_threshold = milliseconds(1);
    options.drain_timeout = milliseconds(5);
    options.drain_bytes = 64 << 10;
    return options;
  }
};

class ChaosStress : public ChaosTest, public ::testing::WithParamInterface<ChaosCase> {};
class ChaosShutdown : public ChaosTest {};

/// Balances at any moment, and no limit is ever exceeded.
std::string imbalance(Transport& transport) {
  const PoolSnapshot pool = transport.pool_snapshot();
  const TransportOptions& options = transport.options();
  std::uint64_t closed = 0;
  for (const std::uint64_t count : pool.closed_by) closed += count;
  if (pool.open != pool.idle + pool.active + pool.dialling) return "open";
  if (pool.dials != pool.closed + pool.open) return "dials";
  if (pool.closed != closed) return "closed_by";
  if (pool.queue_enters != pool.queue_leaves + pool.waiting) return "queue";
  const auto exceeds = [](std::uint64_t count, std::uint64_t limit) { return limit != 0 && count > limit; };
  if (exceeds(pool.open, options.max_total_conns)) return "max_total_conns";
  if (exceeds(pool.dialling, options.max_concurrent_dials)) return "max_concurrent_dials";
  if (exceeds(pool.idle, options.max_idle_conns)) return "max_idle_conns";
  for (const HostSnapshot& host : transport.host_snapshots()) {
    if (exceeds(host.idle + host.active + host.dialling, options.max_conns_per_host)) return "max_conns_per_host";
    if (exceeds(host.waiting, options.max_queue)) return "max_queue";
  }
  return {};
}

/// Looks and disturbs while requests run.
void meddle(Transport& transport, const std::atomic<bool>& ending, std::string& complaint) {
  SplitMix random(seed());
  const auto nothing = std::make_shared<ClientTrace>();
  while (!ending && complaint.empty()) {
    if (const std::string what = imbalance(transport); !what.empty()) complaint = "pool_snapshot: " + what;
    if (random.percent(5)) transport.close_idle_connections();
    if (random.percent(5)) transport.publish_snapshot(random.percent(50) ? nothing : nullptr, true);
    std::this_thread::sleep_for(random.micros_below(3000));
  }
}

TEST_P(ChaosStress, Balances) {
  const ChaosCase& chaos = GetParam();
  const std::uint64_t requests = total_requests() * chaos.percent / 100;
  const std::size_t descriptors = open_descriptors();
  HookBalance books;
  std::uint64_t succeeded = 0;
  std::uint64_t refused = 0;
  {
    const HostileServer plain;
    std::optional<HostileServer> tls;
    if (chaos.tls) tls.emplace(true);
    const HostileDoors doors;
    const ChaosWorld world{plain, tls ? &*tls : nullptr, doors, chaos.hosts, chaos.uses_doors};
    TransportOptions options = with_patience(chaos.transport);
    options.trace = books.trace();
    if (tls) options.tls.ca_file = tls->certificate_file();
    Meddler meddler;
    auto transport = std::make_shared<Transport>(std::move(options));
    ClientOptions client_options;
    if (chaos.retries) {
      client_options.retry = std::make_shared<RetryPolicy>(
          RetryOptions{.attempts = 3, .delay = std::chrono::microseconds(200), .max_jitter = milliseconds(1)});
    }
    ChaosSender sender(Client(transport, client_options), transport, meddler, chaos.allows);
    std::atomic<bool> ending = false;
    std::string complaint;
    std::thread watcher([&] { meddle(*transport, ending, complaint); });
    std::atomic<std::uint64_t> next = 0;
    std::vector<std::thread> threads;
    for (std::size_t i = 0; i < kThreads; ++i) {
      threads.emplace_back([&] {
        for (std::uint64_t n = next++; n < requests; n = next++) sender.send(ChaosPlan::make(seed(), n, world));
      });
    }
    for (std::thread& thread : threads) thread.join();
    sender.wait();
    ending = true;
    watcher.join();
    EXPECT_EQ(complaint, "");
    EXPECT_EQ(sender.complaints(), "");
    EXPECT_EQ(sender.ended(), requests);
    succeeded = sender.succeeded();
    refused = sender.refused();
    transport->close_idle_connections();
    // Dials that nobody waits for, and bodies that nobody reads, end by their own timeouts.
    EXPECT_TRUE(testing::eventually([&] { return transport->pool_snapshot().open == 0; }));
    const PoolSnapshot pool = transport->pool_snapshot();
    EXPECT_TRUE(transport->host_snapshots().empty());
    EXPECT_EQ(transport->hook_exceptions(), 0u);
    sender.forget_client();
    meddler.finish();
    ASSERT_EQ(transport.use_count(), 1);
    transport.reset();
    EXPECT_EQ(books.differences(pool), "");
  }
  EXPECT_EQ(books.complaints(), "");
  EXPECT_EQ(open_descriptors(), descriptors);
  // How many a limit refuses depends on the machine's speed.
  EXPECT_GT(succeeded, (requests - refused) / 4) << "a run in which hardly anything succeeds tests little";
  std::cout << chaos.name << ": " << requests << " requests, " << succeeded << " succeeded, " << refused << " refused; "
            << books.summary() << std::endl;
}

INSTANTIATE_TEST_SUITE_P(Cases, ChaosStress, ::testing::ValuesIn(cases()),
                         [](const auto& row) { return std::string(row.param.name); });

TEST_F(ChaosShutdown, TransportsThatEndInTheMidst) {
  constexpr std::uint64_t kRound = 50;
  const std::uint64_t rounds = std::max<std::uint64_t>(1, total_requests() * kShutdownPercent / 100 / kRound);
  const std::size_t descriptors = open_descriptors();
  {
    const HostileServer plain;
    const HostileDoors doors;
    const ChaosWorld world{.plain = plain, .doors = doors};
    SplitMix random(seed());
    for (std::uint64_t round = 0; round < rounds && !HasFailure(); ++round) {
      HookBalance books;
      TransportOptions options = with_patience({.max_conns_per_host = random.below(3)});
      options.trace = books.trace();
      Meddler meddler;
      auto transport = std::make_shared<Transport>(std::move(options));
      ChaosSender sender(Client(transport), transport, meddler, {.shutdown = true});
      for (std::uint64_t n = 0; n < kRound; ++n) sender.start(ChaosPlan::make(seed(), round * kRound + n, world));
      std::this_thread::sleep_for(random.micros_below(4000));
      sender.forget_client();
      transport.reset();
      sender.wait();
      meddler.finish();  // it may have held the transport for a moment, and so have ended it
      EXPECT_EQ(sender.complaints(), "");
      EXPECT_EQ(books.complaints(), "") << "round " << round;
    }
  }
  EXPECT_EQ(open_descriptors(), descriptors);
}

}  // namespace
}  // namespace conntrace::test
