// SPDX-License-Identifier: Apache-2.0
#include "pool/limits.h"

#include <algorithm>
#include <cmath>

namespace conntrace::pool {
namespace {

MonoTime or_none(MonoTime time) { return time.count() > 0 ? time : MonoTime::max(); }

/// SplitMix64's output function (Steele, Lea, Flood: Fast splittable pseudorandom number generators, 2014).
std::uint64_t mix(std::uint64_t number) {
  number += 0x9e3779b97f4a7c15;
  number = (number ^ (number >> 30)) * 0xbf58476d1ce4e5b9;
  number = (number ^ (number >> 27)) * 0x94d049bb133111eb;
  return number ^ (number >> 31);
}

}  // namespace

KeyLimits limits_for(const Limits& limits, std::string_view authority) {
  static const HostLimits kNothing;
  const auto found = limits.hosts.find(authority);
  const HostLimits& own = found != limits.hosts.end() ? found->second : kNothing;
  const int max_idle = own.max_idle_conns_per_host.value_or(limits.max_idle_conns_per_host);
  const std::uint64_t max_requests = own.max_requests_per_conn.value_or(limits.max_requests_per_conn);
  const double jitter = own.max_conn_lifetime_jitter.value_or(limits.max_conn_lifetime_jitter);
  return {.keeps = !limits.disable_keep_alives && max_idle >= 0,
          .idle_order = own.idle_order.value_or(limits.idle_order),
          .max_idle = max_idle == 0 ? 2 : static_cast<std::size_t>(std::max(max_idle, 0)),
          .idle_timeout = or_none(own.idle_conn_timeout.value_or(limits.idle_conn_timeout)),
          .max_conns = own.max_conns_per_host.value_or(limits.max_conns_per_host),
          .max_queue = own.max_queue.value_or(limits.max_queue),
          .lifetime = or_none(own.max_conn_lifetime.value_or(limits.max_conn_lifetime)),
          .jitter = jitter > 0 ? std::min(jitter, 1.0) : 0,
          .max_requests = max_requests != 0 ? max_requests : ~std::uint64_t{0}};
}

MonoTime lifetime_of(ConnectionId connection, const KeyLimits& limits) {
  if (limits.lifetime == MonoTime::max() || limits.jitter == 0) return limits.lifetime;
  const double part = std::ldexp(static_cast<double>(mix(connection) >> 11), -53);  // 0 … 1
  const double off = static_cast<double>(limits.lifetime.count()) * limits.jitter * part;
  return limits.lifetime - MonoTime(static_cast<std::int64_t>(off));
}

MonoTime safe_idle_time(MonoTime timeout) {
  if (timeout == MonoTime::max()) return timeout;
  return timeout - std::min<MonoTime>(std::chrono::seconds(1), timeout / 4);
}

}  // namespace conntrace::pool
