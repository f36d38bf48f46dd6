// SPDX-License-Identifier: Apache-2.0
#include "pool_model.h"

#include <gtest/gtest.h>

#include <random>

#include "pool_script.h"
#include "support/sanitized.h"

namespace conntrace::pool {
namespace {

/// Does what an owner of a pool may do, at random, and has every answer checked.
class RandomOwner {
 public:
  RandomOwner(const Limits& limits, bool lacks_descriptors, std::uint32_t seed)
      : core_(limits), model_(limits), lacks_descriptors_(lacks_descriptors), random_(seed) {}

  void step() {
    if (one_in(2)) now_ += MonoTime(below(one_in(50) ? 20'000'000'000 : 500'000'000));
    switch (below(20)) {
      case 0:
      case 1:
      case 2:
      case 3:
      case 4:
      case 5: return acquire();
      case 6:
      case 7:
      case 8:
      case 9:
      case 10: return with(PoolModel::Conn::active, [&](ConnectionId c) { release(c); });
      case 11:
      case 12:
      case 13:
      case 14: return with(PoolModel::Conn::dialling, [&](ConnectionId c) { end_dial(c); });
      case 15: return with(PoolModel::Conn::idle, [&](ConnectionId c) { peer_close(c); });
      case 16: return peer_close(below(core_.snapshot().dials + 1));  // perhaps in use, perhaps long gone
      case 17: return cancel(one_in(4) ? below(last_request_ + 1) : any_waiting());
      case 18:
        if (!one_in(20)) return;
        return input([&](Actions& out) { core_.close_idle_connections(now_, out); }, [&] { model_.closed_idle(); });
      default: return expire();
    }
  }

  /// Ends all that is under way, after which nobody may be left waiting.
  void finish() {
    lacks_descriptors_ = false;
    while (!(model_.connections.empty() && model_.waiting.empty()) && !::testing::Test::HasFailure()) {
      if (model_.connections.empty()) {  // all wait for descriptors
        now_ += PoolCore::kDescriptorRetry;
        expire();
        continue;
      }
      const auto& [id, conn] = *model_.connections.begin();
      if (conn.state == PoolModel::Conn::active) {
        release(id);
      } else if (conn.state == PoolModel::Conn::dialling) {
        end_dial(id);
      } else {
        peer_close(id);
      }
    }
    EXPECT_EQ(model_.deliveries + model_.failures + model_.cancels + model_.refusals, acquires_)
        << "each acquire ends once";
    EXPECT_TRUE(core_.keys().empty());
  }

  [[nodiscard]] const PoolModel& model() const { return model_; }

 private:
  std::uint64_t below(std::uint64_t n) { return n ? random_() % n : 0; }
  bool one_in(std::uint64_t n) { return below(n) == 0; }

  template <class Input, class Tell>
  void input(Input run, Tell tell) {
    tell();
    out_.clear();
    run(out_);
    model_.follow(out_, core_, now_);
    if (::testing::Test::HasFailure()) ADD_FAILURE() << "after: " << text(out_);
  }
  template <class Use>
  void with(decltype(PoolModel::Conn::dialling) state, Use use) {
    std::vector<ConnectionId> ids;
    for (const auto& [id, conn] : model_.connections) {
      if (conn.state == state) ids.push_back(id);
    }
    if (!ids.empty()) use(ids[below(ids.size())]);
  }
  RequestId any_waiting() {
    if (model_.waiting.empty()) return 0;
    return std::next(model_.waiting.begin(), static_cast<std::ptrdiff_t>(below(model_.waiting.size())))->first;
  }

  void acquire() {
    if (model_.waiting.size() > 40) return;
    const Key key{one_in(6) ? "http://p:1" : "", one_in(4) ? "https" : "http", one_in(3) ? "a:80" : "b:80"};
    const RequestId request = one_in(3) ? again() : ++last_request_;
    const Explain explain = one_in(4) ? Explain::no : Explain::yes;
    ++acquires_;
    input([&](Actions& out) { core_.acquire(request, key, now_, out, explain); },
          [&] { model_.acquired(request, key, explain); });
  }
  /// The number of a request that came before and neither waits nor has a connection: a retry or redirect keeps it.
  RequestId again() {
    const RequestId request = 1 + below(last_request_);
    const auto has_it = [&](const auto& c) { return c.second.request == request; };
    const bool busy =
        model_.waiting.contains(request) || std::any_of(model_.connections.begin(), model_.connections.end(), has_it);
    return busy || request > last_request_ ? ++last_request_ : request;
  }
  void release(ConnectionId c) {
    std::optional<CloseReason> unusable;
    if (one_in(6)) unusable = one_in(2) ? CloseReason::connection_close_response : CloseReason::stale_on_check;
    KeepAlive said;
    if (one_in(8)) said.timeout = std::chrono::seconds(below(4));
    if (one_in(8)) said.max = below(5);
    input([&](Actions& out) { core_.release(c, unusable, now_, out, said); },
          [&] { model_.released(c, unusable, said); });
  }
  void end_dial(ConnectionId c) {
    if (lacks_descriptors_ && one_in(2)) {
      return input([&](Actions& out) { core_.no_descriptor(c, now_, out); }, [&] { model_.no_descriptor(c); });
    }
    if (one_in(5)) {
      return input([&](Actions& out) { core_.dial_failed(c, now_, out); }, [&] { model_.dial_failed(c); });
    }
    input([&](Actions& out) { core_.dialled(c, now_, out); }, [&] { model_.dialled(c); });
  }
  void expire() {
    input([&](Actions& out) { core_.expire(now_, out); }, [&] { model_.expired(); });
  }
  void peer_close(ConnectionId c) {
    const CloseReason reason = one_in(2) ? CloseReason::server_closed_idle : CloseReason::server_reset_idle;
    input([&](Actions& out) { core_.peer_closed(c, reason, now_, out); }, [&] { model_.peer_closed(c, reason); });
  }
  void cancel(RequestId r) {
    const QueueOutcome outcome = one_in(2) ? QueueOutcome::cancelled : QueueOutcome::timeout;
    const bool waits = model_.waiting.contains(r);
    input([&](Actions& out) { core_.cancel(r, outcome, now_, out); },
          [&] {
            if (waits) model_.cancelled(r, outcome);
          });
    if (!waits) {
      EXPECT_TRUE(out_.empty());
    }
  }

  PoolCore core_;
  PoolModel model_;
  bool lacks_descriptors_;
  std::mt19937_64 random_;
  MonoTime now_{};
  RequestId last_request_ = 0;
  std::uint64_t acquires_ = 0;
  Actions out_;
};

struct Case {
  std::string name;
  Limits limits;
  bool lacks_descriptors = false;
};

class PoolModelTest : public ::testing::TestWithParam<Case> {};

TEST_P(PoolModelTest, DoesOnlyWhatTheRulesAllow) {
  for (std::uint32_t seed = 1; seed <= (kSanitized ? 1 : 3); ++seed) {
    SCOPED_TRACE(fmt::format("seed {}", seed));
    RandomOwner owner(GetParam().limits, GetParam().lacks_descriptors, seed);
    for (int i = 0; i < 10'000 && !HasFailure(); ++i) owner.step();
    owner.finish();
    ASSERT_FALSE(HasFailure());
    EXPECT_GT(owner.model().deliveries, 500u);
    const Limits& limits = GetParam().limits;
    const auto expect_waits = [&](Limit limit, bool limited) {
      const auto found = owner.model().dequeues.find(limit);
      EXPECT_EQ(found != owner.model().dequeues.end() && found->second > 100, limited) << to_string(limit);
    };
    expect_waits(Limit::max_conns_per_host, limits.max_conns_per_host != 0);
    expect_waits(Limit::max_total_conns, limits.max_total_conns != 0);
    expect_waits(Limit::max_concurrent_dials, limits.max_concurrent_dials != 0);
    expect_waits(Limit::fd_limit, GetParam().lacks_descriptors);
  }
}

// Short lives from the beginning, where most that is rare happens, under limits that are drawn, too.
TEST(PoolModelSeeds, ThousandsOfShortLivesUnderAnyLimits) {
  for (std::uint32_t seed = 1; seed <= (kSanitized ? 300 : 3000); ++seed) {
    std::mt19937 random(seed);
    const auto one_of = [&](auto... values) {
      const std::array all{values...};
      return all[random() % all.size()];
    };
    Limits limits{.max_idle_conns = one_of(0u, 1u, 3u, 100u),
                  .max_idle_conns_per_host = one_of(-1, 0, 1, 2, 5),
                  .max_conns_per_host = one_of(0u, 1u, 2u, 4u),
                  .idle_conn_timeout = std::chrono::seconds(one_of(0, 1, 5)),
                  .disable_keep_alives = one_of(0, 0, 0, 1) != 0,
                  .max_total_conns = one_of(0u, 0u, 1u, 2u, 5u),
                  .max_concurrent_dials = one_of(0u, 0u, 1u, 2u),
                  .max_queue = one_of(0u, 0u, 1u, 4u),
                  .max_conn_lifetime = std::chrono::seconds(one_of(0, 0, 2)),
                  .max_conn_lifetime_jitter = one_of(0.0, 0.5, 1.0),
                  .max_requests_per_conn = one_of(0u, 0u, 1u, 3u),
                  .idle_order = one_of(IdleOrder::most_recently_used, IdleOrder::least_recently_used)};
    if (one_of(0, 1) != 0) limits.hosts["b:80"] = {.max_conns_per_host = 3, .max_queue = 2, .max_requests_per_conn = 2};
    SCOPED_TRACE(fmt::format("seed {}", seed));
    RandomOwner owner(limits, one_of(0, 0, 1) != 0, seed);
    for (int i = 0; i < 120 && !HasFailure(); ++i) owner.step();
    owner.finish();
    ASSERT_FALSE(HasFailure());
  }
}

constexpr MonoTime kTimeout = std::chrono::seconds(3);

INSTANTIATE_TEST_SUITE_P(
    Limits, PoolModelTest,
    ::testing::Values(Case{"Defaults", {.idle_conn_timeout = kTimeout}},
                      Case{"Tight", {.max_idle_conns = 3, .max_conns_per_host = 2, .idle_conn_timeout = kTimeout}},
                      Case{"OneSlot", {.max_idle_conns_per_host = 1, .max_conns_per_host = 1}},
                      Case{"ManySlots", {.max_idle_conns_per_host = 4, .max_conns_per_host = 3}},
                      Case{"NoIdleLimit", {.max_idle_conns = 0, .max_idle_conns_per_host = 100}},
                      Case{"KeepNone", {.max_idle_conns_per_host = -1, .max_conns_per_host = 3}},
                      Case{"NoKeepAlives", {.max_conns_per_host = 3, .disable_keep_alives = true}},
                      Case{"FewInTotal", {.max_total_conns = 4}},
                      Case{"FewInTotalAndPerHost", {.max_conns_per_host = 2, .max_total_conns = 5}},
                      Case{"OneDial", {.max_concurrent_dials = 1}},
                      Case{"AllLimits", {.max_conns_per_host = 2, .max_total_conns = 6, .max_concurrent_dials = 2}},
                      Case{"NoDescriptors", {}, true},
                      Case{"NoDescriptorsAndLimits", {.max_conns_per_host = 3, .max_concurrent_dials = 1}, true},
                      Case{"ShortQueue", {.max_conns_per_host = 2, .max_queue = 3}},
                      Case{"ShortLives",
                           {.max_idle_conns_per_host = 5,
                            .max_conn_lifetime = kTimeout,
                            .max_conn_lifetime_jitter = 0.5,
                            .max_requests_per_conn = 4}},
                      Case{"LeastRecentlyUsed",
                           {.max_idle_conns_per_host = 5,
                            .idle_conn_timeout = kTimeout,
                            .idle_order = IdleOrder::least_recently_used}}),
    [](const auto& instance) { return instance.param.name; });

}  // namespace
}  // namespace conntrace::pool
