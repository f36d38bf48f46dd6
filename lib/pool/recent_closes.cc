// SPDX-License-Identifier: Apache-2.0
#include "pool/recent_closes.h"

namespace conntrace::pool {

std::optional<WhyNew> lost_by(CloseReason reason) {
  switch (reason) {
    case CloseReason::idle_timeout:
    case CloseReason::keep_alive_timeout: return WhyNew::idle_expired;
    case CloseReason::server_closed_idle:
    case CloseReason::server_reset_idle:
    case CloseReason::stale_on_check: return WhyNew::idle_dead;
    case CloseReason::max_idle_conns:
    case CloseReason::max_idle_conns_per_host:
    case CloseReason::max_total_conns:
    case CloseReason::close_idle_connections: return WhyNew::idle_evicted;
    case CloseReason::max_requests: return WhyNew::max_requests;
    case CloseReason::max_lifetime: return WhyNew::max_lifetime;
    case CloseReason::fd_pressure: return WhyNew::fd_pressure;
    default: return std::nullopt;
  }
}

}  // namespace conntrace::pool
