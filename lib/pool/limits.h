// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string_view>

#include "conntrace/clock.h"
#include "conntrace/host_limits.h"
#include "conntrace/ids.h"

namespace conntrace::pool {

/// Go's limits and ours. 0 means none, but for max_idle_conns_per_host, where it means 2 and a negative number keeps
/// none.
struct Limits {
  std::size_t max_idle_conns = 100;
  int max_idle_conns_per_host = 2;
  std::size_t max_conns_per_host = 0;
  MonoTime idle_conn_timeout = std::chrono::seconds(90);
  bool disable_keep_alives = false;
  std::size_t max_total_conns = 0;
  std::size_t max_concurrent_dials = 0;
  std::size_t max_queue = 0;  ///< requests to one key that may wait behind limits
  MonoTime max_conn_lifetime{};
  double max_conn_lifetime_jitter = 0;  ///< up to this part of the lifetime is taken off, differently for each
  std::uint64_t max_requests_per_conn = 0;
  IdleOrder idle_order = IdleOrder::most_recently_used;
  HostLimitsMap hosts;
};

/// What holds for one key, ready for use.
struct KeyLimits {
  bool keeps = true;  ///< connections are kept at all
  IdleOrder idle_order = IdleOrder::most_recently_used;
  std::size_t max_idle = 0;
  MonoTime idle_timeout{};         ///< MonoTime::max(): none
  std::size_t max_conns = 0;       ///< 0: none
  std::size_t max_queue = 0;       ///< 0: none
  MonoTime lifetime{};             ///< MonoTime::max(): none
  double jitter = 0;               ///< 0 … 1
  std::uint64_t max_requests = 0;  ///< the largest number: none
};
[[nodiscard]] KeyLimits limits_for(const Limits& limits, std::string_view authority);

/// How long this connection may be used: the lifetime less a part that depends on nothing but its number, so that
/// connections dialled together do not all end together, and yet every run is the same.
[[nodiscard]] MonoTime lifetime_of(ConnectionId connection, const KeyLimits& limits);

/// What the server said of keeping the connection, in the response that has just ended (Keep-Alive: timeout=, max=).
struct KeepAlive {
  MonoTime timeout = MonoTime::max();  ///< it closes the connection when it was idle that long; max(): not said
  std::uint64_t max = kNotSaid;        ///< requests that it will still answer on it
  static constexpr std::uint64_t kNotSaid = ~std::uint64_t{0};
};
/// For how long a connection may be idle when its server closes it after `timeout`: a request that is sent later could
/// cross the server's FIN. A second less, or a quarter less if that is less.
[[nodiscard]] MonoTime safe_idle_time(MonoTime timeout);

}  // namespace conntrace::pool
