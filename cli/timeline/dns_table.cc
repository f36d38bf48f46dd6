// SPDX-License-Identifier: Apache-2.0
#include "timeline/dns_table.h"

#include <algorithm>

namespace conntrace::cli {
namespace {

constexpr std::size_t kKept = 4096;
/// A connect that follows its lookup later than this is not joined to it by address.
constexpr std::uint64_t kAddressReachNs = 5'000'000'000;

std::string plain_name(std::string_view name) {
  std::string out(name);
  if (out.ends_with('.')) out.pop_back();
  std::ranges::transform(out, out.begin(), [](unsigned char c) { return c >= 'A' && c <= 'Z' ? c + 32 : c; });
  return out;
}

/// The address of "1.2.3.4:80" or "[::1]:80".
std::string_view address_of(std::string_view ip_port) {
  ip_port = ip_port.substr(0, ip_port.rfind(':'));
  if (ip_port.starts_with('[') && ip_port.ends_with(']')) ip_port = ip_port.substr(1, ip_port.size() - 2);
  return ip_port;
}

template <class Info>
bool same_question(const DnsExchangeState& seen, const EventHeader& header, const Info& info) {
  if (seen.id != info.id || seen.facts.name != info.name || seen.facts.type != info.type) return false;
  if (seen.cookie != 0 && header.cookie != 0) return seen.cookie == header.cookie;
  return header.pid == 0 || seen.pid == 0 || seen.pid == header.pid;
}

template <class Info>
DnsExchangeState make_exchange(const EventHeader& header, const Info& info) {
  DnsExchangeState out{.pid = header.pid, .tid = header.tid, .cookie = header.cookie, .id = info.id};
  out.facts.name = info.name;
  out.facts.type = info.type;
  out.facts.server = info.server;
  out.facts.transport = info.transport;
  return out;
}

DnsExchange relative(const DnsExchangeState& exchange, std::uint64_t origin_ns) {
  DnsExchange out = exchange.facts;
  out.sent_ns = static_cast<std::int64_t>(exchange.first_sent_ns - origin_ns);
  return out;
}

}  // namespace

template <class Info>
DnsExchangeState* DnsTable::newest_unanswered(const EventHeader& header, const Info& info) {
  const auto found = std::find_if(exchanges_.rbegin(), exchanges_.rend(), [&](const DnsExchangeState& seen) {
    return seen.answered_ns == 0 && seen.facts.server == info.server && same_question(seen, header, info);
  });
  return found == exchanges_.rend() ? nullptr : &*found;
}

void DnsTable::query(const EventHeader& header, const DnsQueryInfo& info) {
  if (DnsExchangeState* open = newest_unanswered(header, info)) {
    ++open->facts.retries;
    open->last_sent_ns = header.mono_ns;
    return;
  }
  DnsExchangeState fresh = make_exchange(header, info);
  fresh.first_sent_ns = fresh.last_sent_ns = header.mono_ns;
  exchanges_.push_back(std::move(fresh));
  if (exchanges_.size() > kKept) exchanges_.pop_front();
}

bool DnsTable::answer(const EventHeader& header, const DnsAnswerInfo& info) {
  const auto take = [&](DnsExchangeState& exchange) {
    exchange.answered_ns = header.mono_ns;
    exchange.facts.rcode = info.rcode;
    exchange.facts.answers.assign(info.answers.begin(), info.answers.end());
    exchange.facts.latency_ns = info.latency_ns;
    if (!info.latency_ns && exchange.last_sent_ns != 0)
      exchange.facts.latency_ns = header.mono_ns - std::min(header.mono_ns, exchange.last_sent_ns);
  };
  if (DnsExchangeState* open = newest_unanswered(header, info)) {
    take(*open);
    return true;
  }
  DnsExchangeState unasked = make_exchange(header, info);
  unasked.first_sent_ns = header.mono_ns - std::min(header.mono_ns, info.latency_ns.value_or(0));
  take(unasked);
  exchanges_.push_back(std::move(unasked));
  if (exchanges_.size() > kKept) exchanges_.pop_front();
  return false;
}

std::vector<DnsExchange> DnsTable::of_lookup(const DialState& dial, std::uint64_t origin_ns) const {
  std::vector<DnsExchange> out;
  if (dial.resolver_tid == 0) return out;
  const std::string host = plain_name(dial.dns_host);
  for (const DnsExchangeState& seen : exchanges_) {
    const bool in_time = seen.first_sent_ns >= dial.resolver_start_ns && seen.first_sent_ns <= dial.resolver_end_ns;
    const bool named = seen.facts.name == host || seen.facts.name.starts_with(host + ".");
    if (seen.tid == dial.resolver_tid && in_time && named) out.push_back(relative(seen, origin_ns));
  }
  return out;
}

std::vector<DnsExchange> DnsTable::of_address(std::uint32_t pid, std::string_view remote,
                                              std::uint64_t connect_ns) const {
  std::vector<DnsExchange> out;
  const std::string_view address = address_of(remote);
  for (const DnsExchangeState& seen : exchanges_) {
    const bool in_time =
        seen.answered_ns != 0 && seen.answered_ns <= connect_ns && connect_ns - seen.answered_ns <= kAddressReachNs;
    if (pid != 0 && seen.pid == pid && in_time &&
        std::ranges::find(seen.facts.answers, address) != seen.facts.answers.end())
      out.push_back(relative(seen, connect_ns));
  }
  return out;
}

}  // namespace conntrace::cli
