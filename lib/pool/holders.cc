// SPDX-License-Identifier: Apache-2.0
#include "pool/holders.h"

#include <algorithm>

namespace conntrace::pool {
namespace {

template <class Visit>
void for_each_open(const Host& host, Visit visit) {
  for (const Connection& connection : host.active) visit(connection);
  for (const Connection& connection : host.dialling) visit(connection);
  for (const Connection& connection : host.idle) visit(connection);
}

}  // namespace

std::vector<Slot> holders_now(const Host& host) {
  std::vector<Slot> slots;
  slots.reserve(host.open());
  for_each_open(host, [&](const Connection& c) { slots.push_back({c.occupant, c.id, 0}); });
  return slots;
}

Holders holders_during(const Waiter& waiter, std::size_t limit, MonoTime now) {
  const Host& host = *waiter.host;
  const auto ended = host.log.since(waiter.queued_mark);
  const std::size_t count = ended.size() + host.open();
  const MonoTime wait = now - waiter.queued_at;
  const double whole = static_cast<double>(limit) * static_cast<double>(wait.count());
  Holders result;
  result.slots.reserve(count);
  // Nobody is listed twice: who gives a slot up comes back behind `waiter`.
  const auto add = [&](const Occupancy& o) {
    const MonoTime overlap = o.to - std::max(o.from, waiter.queued_at);
    if (wait.count() == 0) {
      result.slots.push_back({o.request, o.connection, 1.0 / static_cast<double>(count)});
    } else if (overlap.count() > 0) {
      result.slots.push_back({o.request, o.connection, static_cast<double>(overlap.count()) / whole});
    }
  };
  for (const auto& entry : ended) add(entry.occupancy);
  for_each_open(host, [&](const Connection& c) { add({c.occupant, c.id, c.occupied_since, now}); });
  std::sort(result.slots.begin(), result.slots.end(), [](const Slot& a, const Slot& b) {
    return a.share != b.share             ? a.share > b.share
           : a.connection != b.connection ? a.connection < b.connection
                                          : a.request < b.request;
  });
  if (!host.log.complete_since(waiter.queued_mark)) {
    // Every slot is held while somebody waits for one, so what the kept occupancies do not explain the dropped ones do.
    double listed = 0;
    for (const Slot& slot : result.slots) listed += slot.share;
    result.others_share = std::max(0.0, 1.0 - listed);
  }
  return result;
}

}  // namespace conntrace::pool
