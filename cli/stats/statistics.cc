// SPDX-License-Identifier: Apache-2.0
#include "stats/statistics.h"

#include <algorithm>
#include <array>

namespace conntrace::cli {
namespace {

constexpr std::size_t kMaxHosts = 1000;
constexpr std::size_t kMaxHolders = 20'000;
constexpr std::size_t kShownHolders = 10;
constexpr const char* kOthers = "(others)";
constexpr const char* kTotal = "total";

constexpr std::uint64_t kMs = 1'000'000;
constexpr std::uint64_t kSecond = 1000 * kMs;
/// Where idle timeouts of clients, servers and load balancers usually lie.
constexpr std::array kIdleBounds = {kMs,          10 * kMs,     100 * kMs,    kSecond,       5 * kSecond,
                                    15 * kSecond, 30 * kSecond, 60 * kSecond, 120 * kSecond, 300 * kSecond};

std::vector<WordCount> sorted(const std::map<std::string, std::uint64_t>& words) {
  std::vector<WordCount> out;
  out.reserve(words.size());
  for (const auto& [word, count] : words) out.push_back({word, count});
  std::stable_sort(out.begin(), out.end(), [](const auto& a, const auto& b) { return a.count > b.count; });
  return out;
}

/// `total` first, then in the order in which phases happen.
std::vector<PhaseStats> in_order(const std::map<std::string, Distribution>& phases) {
  std::vector<PhaseStats> out;
  const auto take = [&](std::string_view name) {
    if (const auto found = phases.find(std::string(name)); found != phases.end()) {
      out.push_back({found->first, found->second.times()});
    }
  };
  take(kTotal);
  for (const std::string_view name : Names<Phase>::list) take(name);
  return out;
}

}  // namespace

void Statistics::Host::add(const RequestTimeline& timeline) {
  ++requests;
  if (timeline.error) ++failed;
  if (timeline.connection && timeline.connection->reused) ++(*timeline.connection->reused ? reused : fresh);
  phases[kTotal].add(timeline.duration_ns);
  std::map<Phase, std::uint64_t> times;  // a phase may come more than once
  for (const PhaseTimeline& phase : timeline.phases) times[phase.name] += phase.duration_ns;
  for (const auto& [phase, ns] : times) phases[std::string(to_string(phase))].add(ns);
}

void Statistics::add(const RequestTimeline& timeline) {
  all_.add(timeline);
  if (!timeline.complete) ++incomplete_;
  if (timeline.request.host) {
    const bool known = hosts_.contains(*timeline.request.host);
    hosts_[known || hosts_.size() < kMaxHosts ? *timeline.request.host : kOthers].add(timeline);
  }
  for (const PhaseTimeline& phase : timeline.phases) {
    if (const auto* wait = std::get_if<BlockedFacts>(&phase.facts)) add_wait(*wait, phase.duration_ns);
  }
  if (timeline.error) ++failed_in_[std::string(to_string(timeline.error->phase))];
  if (timeline.connection) {
    if (timeline.connection->why_new) ++why_new_[std::string(to_string(*timeline.connection->why_new))];
    if (timeline.connection->idle_ns) add_idle(*timeline.connection->idle_ns);
  }
  add_findings(timeline.findings);
}

void Statistics::add(const ConnectionTimeline& timeline) {
  ++connections_;
  if (timeline.closed) {
    ++closes_[{timeline.closed->reason, timeline.closed->by, timeline.closed->how}];
  } else {
    ++still_open_;
  }
  // Where the library is linked, requests tell how long their connections had been idle.
  if (!timeline.requests) {
    for (const IdleGap& gap : timeline.idle_gaps) add_idle(gap.duration_ns);
  }
  add_findings(timeline.findings);
}

void Statistics::add(const ProcessTimeline& timeline) { add_findings(timeline.findings); }

void Statistics::add_wait(const BlockedFacts& wait, std::uint64_t duration_ns) {
  queue_[wait.cause].add(duration_ns);
  for (const HolderShare& holder : wait.holders) {
    if (!holder.request) continue;
    Holder& entry = holders_[*holder.request];
    ++entry.held_up;
    entry.waited_ns += holder.share * static_cast<double>(duration_ns);
  }
  if (holders_.size() > kMaxHolders) forget_small_holders();
}

void Statistics::forget_small_holders() {
  holders_exact_ = false;
  std::vector<double> waits;
  waits.reserve(holders_.size());
  for (const auto& [request, holder] : holders_) waits.push_back(holder.waited_ns);
  const auto middle = waits.begin() + static_cast<std::ptrdiff_t>(waits.size() / 2);
  std::nth_element(waits.begin(), middle, waits.end());
  std::erase_if(holders_, [least = *middle](const auto& entry) { return entry.second.waited_ns <= least; });
}

void Statistics::add_idle(std::uint64_t ns) {
  const auto bound = std::lower_bound(kIdleBounds.begin(), kIdleBounds.end(), ns);
  ++idle_[static_cast<std::size_t>(bound - kIdleBounds.begin())];
}

void Statistics::add_findings(const std::vector<Finding>& findings) {
  for (const Finding& finding : findings) ++findings_[finding.code];
}

StatsReport Statistics::report() const {
  StatsReport out{.requests = all_.requests,
                  .failed = all_.failed,
                  .incomplete = incomplete_,
                  .reused = all_.reused,
                  .fresh = all_.fresh,
                  .reuse_ratio = {},
                  .connections = connections_,
                  .still_open = still_open_,
                  .phases = in_order(all_.phases),
                  .hosts = {},
                  .queue = {},
                  .holders = {},
                  .holders_exact = holders_exact_,
                  .failed_in = sorted(failed_in_),
                  .why_new = sorted(why_new_),
                  .closes = {},
                  .idle_before_reuse = {},
                  .findings = sorted(findings_)};
  if (const std::uint64_t known = all_.reused + all_.fresh; known != 0) {
    out.reuse_ratio = static_cast<double>(all_.reused) / static_cast<double>(known);
  }
  for (const auto& [name, host] : hosts_) {
    out.hosts.push_back({name, host.requests, host.failed, host.reused, host.fresh, in_order(host.phases)});
  }
  std::stable_sort(out.hosts.begin(), out.hosts.end(), [](auto& a, auto& b) { return a.requests > b.requests; });
  for (const auto& [cause, waits] : queue_) out.queue.push_back({cause, waits.times()});
  std::stable_sort(out.queue.begin(), out.queue.end(),
                   [](auto& a, auto& b) { return a.times.sum_ns > b.times.sum_ns; });
  for (const auto& [request, holder] : holders_) {
    out.holders.push_back({request, holder.held_up, static_cast<std::uint64_t>(holder.waited_ns)});
  }
  std::sort(out.holders.begin(), out.holders.end(), [](const auto& a, const auto& b) {
    return a.waited_ns != b.waited_ns ? a.waited_ns > b.waited_ns : a.request < b.request;
  });
  if (out.holders.size() > kShownHolders) out.holders.resize(kShownHolders);
  for (const auto& [how, count] : closes_) {
    out.closes.push_back({std::get<0>(how), std::get<1>(how), std::get<2>(how), count});
  }
  std::stable_sort(out.closes.begin(), out.closes.end(), [](auto& a, auto& b) { return a.count > b.count; });
  for (const auto& [index, count] : idle_) {
    const bool last = index == kIdleBounds.size();
    out.idle_before_reuse.push_back({last ? std::nullopt : std::optional(kIdleBounds[index]), count});
  }
  return out;
}

}  // namespace conntrace::cli
