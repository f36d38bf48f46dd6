// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <vector>

#include "pool/record_index.h"
#include "pool/records.h"

namespace conntrace::pool {

/// The hosts by Key, with the limits of each. A host that is used no more goes away, but for the last kRemembered that
/// can still tell why their next connection has to be dialled.
class HostTable {
 public:
  static constexpr std::size_t kRemembered = 256;

  /// The limits must outlive the table.
  explicit HostTable(const Limits& limits) : limits_(limits) {}
  HostTable(const HostTable&) = delete;
  HostTable& operator=(const HostTable&) = delete;
  ~HostTable();

  /// The host of this key; made if it is not there. The address stays until the host goes away.
  [[nodiscard]] Host& get(const Key& key);
  /// To be called when a host lost a connection or a waiter.
  void drop_if_unused(Host& host);
  /// Appends idle connections to the same authority with another scheme or proxy until `out` has `max` entries. The
  /// host itself must have none.
  void idle_elsewhere(const Host& host, std::size_t max, std::vector<Rejected>& out) const;
  [[nodiscard]] std::size_t size() const { return hosts_.size(); }
  [[nodiscard]] std::vector<KeySnapshot> used() const;

 private:
  Host& make(const Key& key, std::uint64_t hash);
  void erase(Host& host);

  const Limits& limits_;
  RecordIndex<Host> hosts_;
  AuthorityIndex by_authority_;
  IntrusiveList<Host, &Host::in_unused> unused_;
};

}  // namespace conntrace::pool
