// SPDX-License-Identifier: Apache-2.0
#include "pool_model.h"

#include <gtest/gtest.h>

#include <random>

#include "pool_script.h"

namespace conntrace::pool {
namespace {

/// Does what an owner of a pool may do, at random, and has every answer checked.
class RandomOwner {
 public:
  RandomOwner(Limits limits, std::uint32_t seed) : core_(limits), model_(limits), random_(seed) {}

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
      default: return input([&](Actions& out) { core_.expire(now_, out); }, [] {});
    }
  }

  /// Ends all that is under way, after which nobody may be left waiting.
  void finish() {
    while (!model_.connections.empty() && !::testing::Test::HasFailure()) {
      const auto& [id, conn] = *model_.connections.begin();
      if (conn.state == PoolModel::Conn::active) {
        release(id);
      } else if (conn.state == PoolModel::Conn::dialling) {
        end_dial(id);
      } else {
        peer_close(id);
      }
    }
    EXPECT_TRUE(model_.waiting.empty());
    EXPECT_EQ(model_.deliveries + model_.failures + model_.cancels, acquires_) << "each acquire ends once";
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
    ++acquires_;
    input([&](Actions& out) { core_.acquire(request, key, now_, out); }, [&] { model_.acquired(request, key); });
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
    input([&](Actions& out) { core_.release(c, unusable, now_, out); }, [&] { model_.released(c, unusable); });
  }
  void end_dial(ConnectionId c) {
    if (one_in(5)) {
      return input([&](Actions& out) { core_.dial_failed(c, now_, out); }, [&] { model_.dial_failed(c); });
    }
    input([&](Actions& out) { core_.dialled(c, now_, out); }, [&] { model_.dialled(c); });
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
  std::mt19937_64 random_;
  MonoTime now_{};
  RequestId last_request_ = 0;
  std::uint64_t acquires_ = 0;
  Actions out_;
};

struct Case {
  std::string name;
  Limits limits;
};

class PoolModelTest : public ::testing::TestWithParam<Case> {};

TEST_P(PoolModelTest, DoesOnlyWhatTheRulesAllow) {
  for (std::uint32_t seed = 1; seed <= 3; ++seed) {
    SCOPED_TRACE(fmt::format("seed {}", seed));
    RandomOwner owner(GetParam().limits, seed);
    for (int i = 0; i < 20'000 && !HasFailure(); ++i) owner.step();
    owner.finish();
    ASSERT_FALSE(HasFailure());
    EXPECT_GT(owner.model().deliveries, 1000u);
    if (GetParam().limits.max_conns_per_host) {
      EXPECT_GT(owner.model().dequeues, 1000u);
    }
  }
}

constexpr MonoTime kTimeout = std::chrono::seconds(3);

INSTANTIATE_TEST_SUITE_P(
    Limits, PoolModelTest,
    ::testing::Values(Case{"Defaults", {.idle_conn_timeout = kTimeout}},
                      Case{"Tight", {.max_idle_conns = 3, .max_conns_per_host = 2, .idle_conn_timeout = kTimeout}},
                      Case{"OneSlot", {.max_idle_conns_per_host = 1, .max_conns_per_host = 1}},
                      Case{"ManySlots", {.max_idle_conns_per_host = 4, .max_conns_per_host = 6}},
                      Case{"NoIdleLimit", {.max_idle_conns = 0, .max_idle_conns_per_host = 100}},
                      Case{"KeepNone", {.max_idle_conns_per_host = -1, .max_conns_per_host = 3}},
                      Case{"NoKeepAlives", {.max_conns_per_host = 3, .disable_keep_alives = true}}),
    [](const auto& instance) { return instance.param.name; });

}  // namespace
}  // namespace conntrace::pool
