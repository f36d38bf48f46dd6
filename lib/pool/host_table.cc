// SPDX-License-Identifier: Apache-2.0
#include "pool/host_table.h"

#include <functional>

namespace conntrace::pool {

std::size_t HostTable::KeyHash::operator()(const Key& key) const noexcept {
  constexpr std::hash<std::string_view> hash;
  constexpr std::size_t kOdd = 0x9e3779b97f4a7c15;
  std::size_t seed = hash(key.authority);
  seed = seed * kOdd + hash(key.scheme);
  return key.proxy.empty() ? seed : seed * kOdd + hash(key.proxy);
}

Host& HostTable::get(const Key& key) {
  const auto [place, made] = hosts_.try_emplace(key);
  Host& host = place->second;
  if (made) {
    host.key = &place->first;
    host.limits = limits_for(limits_, host.key->authority);
    host.gate.size = host.limits.max_conns;
    host.in_authority = by_authority_.emplace(host.key->authority, &host);
  } else if (host.in_unused.linked) {
    unused_.erase(host);
  }
  return host;
}

void HostTable::drop_if_unused(Host& host) {
  if (!host.unused()) return;
  if (host.recent.empty()) return erase(host);
  unused_.push_back(host);
  if (unused_.size() > kRemembered) {
    Host& oldest = unused_.front();
    unused_.erase(oldest);
    erase(oldest);
  }
}

void HostTable::erase(Host& host) {
  by_authority_.erase(host.in_authority);
  hosts_.erase(hosts_.find(*host.key));
}

std::vector<KeySnapshot> HostTable::used() const {
  std::vector<KeySnapshot> all;
  for (const auto& [key, host] : hosts_) {
    if (host.unused()) continue;
    all.push_back({key, host.idle.size(), host.active.size(), host.dialling.size(), host.queued});
  }
  return all;
}

void HostTable::idle_elsewhere(const Host& host, std::size_t max, std::vector<Rejected>& out) const {
  // Behind an http proxy the authority is empty: one key for all targets, of which others tell nothing.
  if (host.key->authority.empty()) return;
  constexpr std::size_t kLookAt = 64;  // a client that changes proxies all the time must not make dials slow
  auto place = by_authority_.find(host.key->authority);
  for (std::size_t i = 0; i < kLookAt && place != by_authority_.end(); ++i, ++place) {
    if (place->first != host.key->authority) return;
    for (const Connection& connection : place->second->idle) {
      if (out.size() >= max) return;
      out.push_back({connection.id, WhyNew::key_differs});
    }
  }
}

}  // namespace conntrace::pool
