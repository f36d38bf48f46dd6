// SPDX-License-Identifier: Apache-2.0
#include "pool/host_table.h"

#include <functional>
#include <memory>
#include <string_view>

namespace conntrace::pool {

namespace {

// Schemes are told apart by their length: there are two.
std::uint64_t hash_of(const Key& key) {
  constexpr std::hash<std::string_view> hash;
  constexpr std::uint64_t kOdd = 0x9e3779b97f4a7c15;
  const std::uint64_t sum = hash(key.authority) * kOdd + key.scheme.size();
  return key.proxy.empty() ? sum : sum * kOdd + hash(key.proxy);
}

}  // namespace

HostTable::~HostTable() {
  hosts_.each([](Host& host) { delete &host; });
}

Host& HostTable::get(const Key& key) {
  const std::uint64_t hash = hash_of(key);
  Host* host = hosts_.find(hash, [&](const Host& candidate) { return candidate.key == key; });
  if (host == nullptr) return make(key, hash);
  if (host->in_unused.linked()) unused_.erase(*host);
  return *host;
}

Host& HostTable::make(const Key& key, std::uint64_t hash) {
  auto made = std::make_unique<Host>();
  Host& host = *made;
  host.key = key;
  host.hash = hash;
  host.limits = limits_for(limits_, host.key.authority);
  host.gate.size = host.limits.max_conns;
  host.in_authority = by_authority_.emplace(host.key.authority, &host);
  hosts_.insert(hash, *made.release());
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
  hosts_.erase(host.hash, host);
  delete &host;
}

std::vector<KeySnapshot> HostTable::used() const {
  std::vector<KeySnapshot> all;
  hosts_.each([&](const Host& host) {
    if (host.unused()) return;
    all.push_back({host.key, host.idle.size(), host.active.size(), host.dialling.size(), host.queued});
  });
  return all;
}

void HostTable::idle_elsewhere(const Host& host, std::size_t max, std::vector<Rejected>& out) const {
  // Behind an http proxy the authority is empty: one key for all targets, of which others tell nothing.
  if (host.key.authority.empty()) return;
  constexpr std::size_t kLookAt = 64;  // a client that changes proxies all the time must not make dials slow
  auto place = by_authority_.find(host.key.authority);
  for (std::size_t i = 0; i < kLookAt && place != by_authority_.end(); ++i, ++place) {
    if (place->first != host.key.authority) return;
    for (const Connection& connection : place->second->idle) {
      if (out.size() >= max) return;
      out.push_back({connection.id, WhyNew::key_differs});
    }
  }
}

}  // namespace conntrace::pool
