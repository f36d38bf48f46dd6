// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstddef>
#include <optional>

#include "pool/pool_core.h"

namespace conntrace::pool {

/// What a close says about the next dial to the same key; nothing if a usable connection was not lost by it.
[[nodiscard]] std::optional<WhyNew> lost_by(CloseReason reason);

/// The last few connections of a key that a request could have used, had they not been closed.
class RecentCloses {
 public:
  void remember(ConnectionId connection, CloseReason reason) {
    if (const auto why = lost_by(reason)) ring_[count_++ % ring_.size()] = {connection, *why};
  }
  void clear() { count_ = 0; }
  [[nodiscard]] bool empty() const { return count_ == 0; }
  [[nodiscard]] std::size_t size() const { return count_ < ring_.size() ? count_ : ring_.size(); }
  /// 0 is the newest.
  [[nodiscard]] const Rejected& newest(std::size_t i) const { return ring_[(count_ - 1 - i) % ring_.size()]; }

 private:
  std::array<Rejected, 4> ring_{};
  std::size_t count_ = 0;
};

}  // namespace conntrace::pool
