// SPDX-License-Identifier: Apache-2.0
#include "support/hook_balance.h"

#include <algorithm>
#include <cmath>

#include "record/every_hook.h"

namespace conntrace::test {
namespace {

constexpr std::size_t kMaxComplaints = 20;

struct Span {
  EventKind start;
  EventKind end;
  EventKind other_end;  ///< the same as `end` if there is but one
  bool of_connection;   ///< dials outlive their request
};

using enum EventKind;
constexpr std::array<Span, HookBalance::kSpans> kSpanList = {{
    {request_start, request_done, request_done, false},
    {get_conn, got_conn, get_conn_failed, false},
    {queue_enter, queue_leave, queue_leave, false},
    {got_conn, wrote_request, wrote_request, false},
    {response_head, body_done, body_done, false},
    {response_head, body_closed, body_closed, false},
    {why_new, dial_done, dial_done, true},
    {dns_start, dns_done, dns_done, true},
    {connect_start, connect_done, connect_done, true},
    {proxy_connect_start, proxy_connect_done, proxy_connect_done, true},
    {tls_handshake_start, tls_handshake_done, tls_handshake_done, true},
    {wait_100_continue, wrote_request, wrote_request, false},
}};
/// A wait for a 100 has no done of its own: it ends, like the request's sending, with wrote_request.
constexpr std::size_t kContinueSpan = HookBalance::kSpans - 1;

}  // namespace

HookBalance::HookBalance()
    : trace_(every_hook([this]<EventKind kind>(const HookContext& context, const PayloadOf<kind>& payload) {
        keep<kind>(context, payload);
      })) {}

template <EventKind kind>
void HookBalance::keep(const HookContext& context, const PayloadOf<kind>& payload) {
  ++counts_[static_cast<std::size_t>(kind)];
  if (kind != live_request && kind != live_connection) {
    check_request(kind, context);
    move_spans(kind, context);
  }
  check(context, payload);
}

void HookBalance::check_request(EventKind kind, const HookContext& context) {
  const RequestId id = context.request;
  if (id == 0) return;
  if (id < requests_done_.size() && requests_done_[id])
    complain(context, std::string(to_string(kind)) + " after request_done");
  if (kind != request_start && !requests_.contains(id))
    complain(context, std::string(to_string(kind)) + " before request_start");
}

void HookBalance::move_spans(EventKind kind, const HookContext& context) {
  for (std::size_t i = 0; i < kSpans; ++i) {
    const Span& span = kSpanList[i];
    if (kind != span.start && kind != span.end && kind != span.other_end) continue;
    const std::uint64_t owner = span.of_connection ? context.connection : context.request;
    int& open = (span.of_connection ? connections_ : requests_)[owner].open[i];
    if (kind == span.start) {
      ++open;
    } else if (i == kContinueSpan) {
      open = 0;
    } else if (--open < 0) {
      complain(context, std::string(to_string(kind)) + " without its " + std::string(to_string(span.start)));
    }
    // Only addresses of one dial may be tried side by side; anything else would be two waits at once.
    if (open > 1 && span.start != connect_start) complain(context, std::string(to_string(kind)) + " twice");
  }
}

void HookBalance::check(const HookContext& context, const GotConnInfo& info) {
  Books& books = connections_[context.connection];
  if (!books.usable) complain(context, "got_conn: the connection is not open");
  if (books.carrying != 0) complain(context, "got_conn: it carries request " + std::to_string(books.carrying));
  if (info.reused != (books.carried > 0) || info.requests_before != books.carried) {
    complain(context, "got_conn: it carried " + std::to_string(books.carried) + " requests before");
  }
  if (info.was_idle != info.idle_ns.has_value()) complain(context, "got_conn: idle, and not");
  books.carrying = context.request;
  ++books.carried;
}

void HookBalance::check(const HookContext& context, const PutIdleConnInfo&) {
  connections_[context.connection].carrying = 0;
}

void HookBalance::check(const HookContext& context, const ConnClosedInfo& info) {
  ++closed_[static_cast<std::size_t>(info.reason)];
  const Books& books = connections_[context.connection];
  if (!books.usable) complain(context, "conn_closed: it was not open");
  if (info.requests != books.carried) complain(context, "conn_closed: it carried " + std::to_string(books.carried));
  if (info.reason == CloseReason::unknown) complain(context, "conn_closed: reason unknown");
  if (info.by == ClosedBy::unknown) {
    complain(context, "conn_closed for " + std::string(to_string(info.reason)) + ": by unknown");
  }
  end(connections_, context.connection, "connection");
}

void HookBalance::check(const HookContext& context, const DialDoneInfo& info) {
  if (info.error.empty()) {
    connections_[context.connection].usable = true;
    return;
  }
  ++dials_failed_;
  end(connections_, context.connection, "dial");
}

void HookBalance::check(const HookContext& context, const WhyNewInfo& info) {
  if (info.reason == WhyNew::unknown) complain(context, "why_new: reason unknown");
  for (const Candidate& candidate : info.candidates) {
    if (candidate.reason == WhyNew::unknown) complain(context, "why_new: a candidate's reason is unknown");
  }
}

void HookBalance::check(const HookContext& context, const QueueLeaveInfo& info) {
  double sum = info.others_share;
  for (const Holder& holder : info.holders) {
    sum += holder.share;
    if (holder.share < 0 || holder.share > 1 + 1e-9)
      complain(context, "queue_leave: a share of " + std::to_string(holder.share));
  }
  if (std::abs(sum - 1) > 1e-6) complain(context, "queue_leave: shares sum to " + std::to_string(sum));
}

void HookBalance::check(const HookContext& context, const ConnectDoneInfo& info) {
  if (info.outcome == ConnectOutcome::unknown) complain(context, "connect_done: outcome unknown");
  if ((info.outcome == ConnectOutcome::connected) != info.error.empty())
    complain(context, "connect_done: outcome and error differ");
}

void HookBalance::check(const HookContext& context, const RequestDoneInfo& info) {
  const RequestId id = context.request;
  if (info.error.empty() && info.status == 0) complain(context, "request_done: neither status nor error");
  // Its connection is free, or gone, before its caller can ask for the next.
  if (const auto found = connections_.find(context.connection);
      found != connections_.end() && found->second.carrying == id) {
    complain(context, "request_done: its connection still carries it");
  }
  end(requests_, id, "request");
  if (requests_done_.size() <= id) requests_done_.resize(id + 1 + id / 2);
  requests_done_[id] = true;
}

void HookBalance::end(Ledger& ledger, std::uint64_t id, const char* what) {
  const auto node = ledger.extract(id);
  if (node.empty()) return;
  for (std::size_t i = 0; i < kSpans; ++i) {
    if (node.mapped().open[i] == 0) continue;
    HookContext context;
    (&ledger == &requests_ ? context.request : context.connection) = id;
    complain(context, std::string(what) + " ended; open: " + std::string(to_string(kSpanList[i].start)));
  }
}

void HookBalance::complain(const HookContext& context, const std::string& what) {
  ++broken_;
  if (complaints_.size() >= kMaxComplaints) return;
  complaints_.push_back("request " + std::to_string(context.request) + ", connection " +
                        std::to_string(context.connection) + ": " + what);
}

std::string HookBalance::complaints() const {
  std::string text;
  for (const std::string& complaint : complaints_) text += complaint + "\n";
  if (broken_ > complaints_.size()) text += std::to_string(broken_) + " in all\n";
  for (const auto& [id, books] : requests_) text += "request " + std::to_string(id) + " never ended\n";
  for (const auto& [id, books] : connections_) text += "connection " + std::to_string(id) + " never ended\n";
  return text;
}

std::string HookBalance::differences(const PoolSnapshot& pool) const {
  std::string text;
  const auto compare = [&](std::string_view what, std::uint64_t told, std::uint64_t counted) {
    if (told != counted) {
      text += std::string(what) + ": hooks " + std::to_string(told) + ", pool " + std::to_string(counted) + "\n";
    }
  };
  compare("open", 0, pool.open);
  compare("waiting", 0, pool.waiting);
  compare("dials", count(why_new), pool.dials);
  compare("dials", count(why_new), count(dial_done));
  compare("queue enters", count(queue_enter), pool.queue_enters);
  compare("queue leaves", count(queue_leave), pool.queue_leaves);
  compare("closed", count(conn_closed) + dials_failed_, pool.closed);
  std::uint64_t sum = 0;
  for (std::size_t i = 0; i < closed_.size(); ++i) {
    sum += pool.closed_by[i];
    // What was closed while it was dialled has a reason in the pool and ends with dial_done.
    if (pool.closed_by[i] < closed_[i]) compare(Names<CloseReason>::list[i], closed_[i], pool.closed_by[i]);
  }
  compare("sum of reasons", sum, pool.closed);
  return text;
}

std::string HookBalance::summary() const {
  std::string text;
  const auto add = [&](std::string_view what, std::uint64_t count) {
    if (count != 0) text += std::string(what) + " " + std::to_string(count) + ", ";
  };
  for (std::size_t i = 0; i < counts_.size(); ++i) add(Names<EventKind>::list[i], counts_[i]);
  text += "closed for: ";
  for (std::size_t i = 0; i < closed_.size(); ++i) add(Names<CloseReason>::list[i], closed_[i]);
  add("dial errors", dials_failed_);
  return text;
}

}  // namespace conntrace::test
