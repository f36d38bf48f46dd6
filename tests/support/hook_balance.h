// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "conntrace/client_trace.h"
#include "conntrace/event.h"
#include "conntrace/pool_snapshot.h"

namespace conntrace::test {

/// Keeps books on every hook call while it happens, for runs that are too long to be recorded: what is open, what has
/// ended, and which rule was broken first.
///
/// Threading: its trace is for one Transport; read the books when that is gone.
class HookBalance {
 public:
  HookBalance();

  [[nodiscard]] std::shared_ptr<const ClientTrace> trace() const { return trace_; }
  /// Empty, or what did not balance, a line each.
  [[nodiscard]] std::string complaints() const;
  /// Empty, or where the pool's numbers differ from what the hooks told.
  [[nodiscard]] std::string differences(const PoolSnapshot& pool) const;
  [[nodiscard]] std::uint64_t count(EventKind kind) const { return counts_[static_cast<std::size_t>(kind)]; }
  [[nodiscard]] std::uint64_t closed_for(CloseReason reason) const { return closed_[static_cast<std::size_t>(reason)]; }
  /// What happened how often; for people.
  [[nodiscard]] std::string summary() const;

  static constexpr std::size_t kSpans = 12;

 private:
  /// How often each span is open; of a request or of a connection.
  struct Books {
    std::array<int, kSpans> open{};
    bool usable = false;         ///< a connection: it was dialled
    std::uint64_t carried = 0;   ///< a connection: requests
    std::uint64_t carrying = 0;  ///< a connection: the request on it
  };
  using Ledger = std::unordered_map<std::uint64_t, Books>;

  template <EventKind kind>
  void keep(const HookContext& context, const PayloadOf<kind>& payload);
  void move_spans(EventKind kind, const HookContext& context);
  void check_request(EventKind kind, const HookContext& context);
  void check(const HookContext& context, const GotConnInfo& info);
  void check(const HookContext& context, const PutIdleConnInfo& info);
  void check(const HookContext& context, const ConnClosedInfo& info);
  void check(const HookContext& context, const DialDoneInfo& info);
  void check(const HookContext& context, const WhyNewInfo& info);
  void check(const HookContext& context, const QueueLeaveInfo& info);
  void check(const HookContext& context, const ConnectDoneInfo& info);
  void check(const HookContext& context, const RequestDoneInfo& info);
  template <class Info>
  void check(const HookContext&, const Info&) {}
  void end(Ledger& ledger, std::uint64_t id, const char* what);
  void complain(const HookContext& context, const std::string& what);

  const std::shared_ptr<const ClientTrace> trace_;
  std::array<std::uint64_t, Names<EventKind>::list.size()> counts_{};
  std::array<std::uint64_t, Names<CloseReason>::list.size()> closed_{};
  std::uint64_t dials_failed_ = 0;
  Ledger requests_;
  Ledger connections_;
  std::vector<bool> requests_done_;
  std::uint64_t broken_ = 0;
  std::vector<std::string> complaints_;  ///< the first ones
};

}  // namespace conntrace::test
