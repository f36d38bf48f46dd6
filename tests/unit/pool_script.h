// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <string>
#include <variant>

#include "conntrace/reasons.h"
#include "pool/pool_core.h"

namespace conntrace::pool {

inline double seconds(MonoTime time) { return std::chrono::duration<double>(time).count(); }

inline std::string text(const std::vector<Slot>& slots, bool shares) {
  std::string out;
  for (const Slot& slot : slots) {
    out += fmt::format("{}r{}/c{}", out.empty() ? "" : " ", slot.request, slot.connection);
    if (shares) out += fmt::format("={:.3g}", slot.share);
  }
  return '[' + out + ']';
}

struct ActionText {
  std::string operator()(const Dial& a) const {
    std::string out = fmt::format("dial c{} r{} {}", a.connection, a.request, to_string(a.why));
    for (const Rejected& r : a.candidates) out += fmt::format(" c{}:{}", r.connection, to_string(r.reason));
    return out;
  }
  std::string operator()(const Deliver& a) const {
    std::string out = fmt::format("deliver c{} r{} {}", a.connection, a.request, a.reused ? "reused" : "new");
    if (a.was_idle) out += fmt::format(" idle={:g}", seconds(a.idle));
    return out;
  }
  std::string operator()(const Queued& a) const {
    return fmt::format("queued r{} {} {} {}/{} {}", a.request, to_string(a.limit), a.limit_value, a.position, a.depth,
                       text(a.holders, false));
  }
  std::string operator()(const Dequeued& a) const {
    return fmt::format("dequeued r{} {} {} waited={:g} by r{} {}", a.request, to_string(a.limit), to_string(a.outcome),
                       seconds(a.waited), a.released_by, text(a.holders, true));
  }
  std::string operator()(const PutIdle& a) const {
    std::string out = fmt::format("put c{} r{}", a.connection, a.request);
    if (a.refused) out += fmt::format(" refused {}", to_string(*a.refused));
    if (a.handed_to) out += fmt::format(" to r{}", a.handed_to);
    return out;
  }
  std::string operator()(const Close& a) const {
    std::string out = fmt::format("close c{} {}", a.connection, to_string(a.reason));
    if (a.idle) out += fmt::format(" idle={:g}", seconds(*a.idle));
    return out;
  }
  std::string operator()(const Refused& a) const { return fmt::format("refused r{} {}", a.request, a.limit_value); }
  std::string operator()(const AcquireFailed& a) const {
    return fmt::format("failed r{} c{}", a.request, a.connection);
  }
};

inline std::string text(const Actions& actions) {
  std::string out;
  for (const Action& action : actions) out += (out.empty() ? "" : "; ") + std::visit(ActionText{}, action);
  return out;
}

/// A PoolCore on a fake clock, whose inputs answer with their actions as one line:
///
///     dial c1 r1 no_idle          connection 1 for request 1; then why, and candidates as c2:idle_dead
///     deliver c1 r1 reused idle=5 seconds, if it was idle; "new" if it never carried a request
///     queued r2 max_conns_per_host 1 1/1 [r1/c1]                  limit, position/depth, holders
///     dequeued r2 max_conns_per_host handoff waited=1 by r1 [r1/c1=1]      shares of the wait
///     put c1 r1, put c1 r1 to r2, put c1 r1 refused REASON        r0: a dial nobody waits for
///     close c1 REASON idle=90
///     failed r1 c1
///     refused r1 2                                                max_queue
class PoolScript {
 public:
  explicit PoolScript(Limits limits = {}) : core(std::move(limits)) {}

  std::string acquire(RequestId request, const std::string& authority = "a:80") {
    return acquire(request, Key{"", "http", authority});
  }
  std::string acquire(RequestId request, const Key& key) {
    return run([&](Actions& out) { core.acquire(request, key, now, out); });
  }
  std::string release(ConnectionId connection, std::optional<CloseReason> unusable = {}, const KeepAlive& said = {}) {
    return run([&](Actions& out) { core.release(connection, unusable, now, out, said); });
  }
  std::string take_back(ConnectionId connection, std::optional<CloseReason> unusable = {}) {
    return run([&](Actions& out) { core.take_back(connection, unusable, now, out); });
  }
  std::string dialled(ConnectionId connection) {
    return run([&](Actions& out) { core.dialled(connection, now, out); });
  }
  std::string dial_failed(ConnectionId connection) {
    return run([&](Actions& out) { core.dial_failed(connection, now, out); });
  }
  std::string no_descriptor(ConnectionId connection) {
    return run([&](Actions& out) { core.no_descriptor(connection, now, out); });
  }
  std::string peer_closed(ConnectionId connection, CloseReason reason = CloseReason::server_closed_idle) {
    return run([&](Actions& out) { core.peer_closed(connection, reason, now, out); });
  }
  std::string cancel(RequestId request, QueueOutcome outcome = QueueOutcome::cancelled) {
    return run([&](Actions& out) { core.cancel(request, outcome, now, out); });
  }
  std::string close_idle_connections() {
    return run([&](Actions& out) { core.close_idle_connections(now, out); });
  }
  std::string expire() {
    return run([&](Actions& out) { core.expire(now, out); });
  }
  void advance(double by) { now += MonoTime(static_cast<std::int64_t>(by * 1e9)); }
  /// idle/active/dialling/waiting
  [[nodiscard]] std::string counts() const {
    const Snapshot s = core.snapshot();
    EXPECT_EQ(s.dials, s.closed + s.open());
    EXPECT_EQ(s.queue_enters, s.queue_leaves + s.waiting);
    return fmt::format("{}/{}/{}/{}", s.idle, s.active, s.dialling, s.waiting);
  }
  /// One request after the other until `count` connections have been made and given back.
  void warm(std::size_t count, const std::string& authority = "a:80", RequestId first = 1001) {
    const ConnectionId before = core.snapshot().dials;
    for (std::size_t i = 0; i < count; ++i) (void)acquire(first + i, authority);
    for (std::size_t i = 1; i <= count; ++i) (void)dialled(before + i);
    for (std::size_t i = 1; i <= count; ++i) (void)release(before + i);
  }

  PoolCore core;
  MonoTime now = std::chrono::hours(1);

 private:
  template <class Input>
  std::string run(Input input) {
    Actions out;
    input(out);
    return text(out);
  }
};

}  // namespace conntrace::pool
