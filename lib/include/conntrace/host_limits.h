// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>

namespace conntrace {

/// Which of several idle connections to a host is used first.
enum class IdleOrder : std::uint8_t {
  most_recently_used,   ///< Go's: few connections stay warm, the others expire
  least_recently_used,  ///< all are used in turn
};

/// What differs for one host. What has no value is as TransportOptions says; the meaning of each is there.
struct HostLimits {
  std::optional<int> max_idle_conns_per_host;
  std::optional<std::size_t> max_conns_per_host;
  std::optional<std::size_t> max_queue;
  std::optional<std::chrono::nanoseconds> acquire_timeout;
  std::optional<std::chrono::nanoseconds> idle_conn_timeout;
  std::optional<std::chrono::nanoseconds> max_conn_lifetime;
  std::optional<double> max_conn_lifetime_jitter;
  std::optional<std::uint64_t> max_requests_per_conn;
  std::optional<IdleOrder> idle_order;
};

/// By authority: host:port in lower case, with the port also where it is the scheme's own ("api.example.org:443").
using HostLimitsMap = std::map<std::string, HostLimits, std::less<>>;

}  // namespace conntrace
