// SPDX-License-Identifier: Apache-2.0
#include "timeline/socket_table.h"

#include <algorithm>

namespace conntrace::cli {
namespace {
constexpr std::size_t kRetired = 4096;  ///< closed sockets that late records can still find
}

SocketTable::Ptr SocketTable::find(std::uint64_t netns, std::uint64_t cookie) {
  const auto found = by_cookie_.find(cookie);
  if (cookie == 0 || found == by_cookie_.end()) return nullptr;
  const std::vector<Ptr>& same = found->second;
  for (const Ptr& socket : same) {
    if (netns != 0 && socket->netns == netns) return socket;
  }
  if (same.size() != 1) return nullptr;
  const Ptr& only = same.front();
  if (netns != 0 && only->netns != 0) return nullptr;
  if (only->netns == 0) only->netns = netns;
  return only;
}

SocketTable::Ptr SocketTable::add(std::uint64_t netns, std::uint64_t cookie) {
  auto socket = std::make_shared<SocketState>();
  socket->netns = netns;
  socket->cookie = cookie;
  by_cookie_[cookie].push_back(socket);
  return socket;
}

bool SocketTable::ambiguous(std::uint64_t netns, std::uint64_t cookie) const {
  const auto found = by_cookie_.find(cookie);
  if (found == by_cookie_.end()) return false;
  if (netns == 0) return found->second.size() > 1;
  return std::ranges::any_of(found->second, [](const Ptr& socket) { return socket->netns == 0; });
}

void SocketTable::retire(const Ptr& socket) {
  if (socket->cookie == 0) return;
  retired_.push_back(socket);
  if (retired_.size() <= kRetired) return;
  forget(retired_.front());
  retired_.pop_front();
}

std::vector<SocketTable::Ptr> SocketTable::live() const {
  std::vector<Ptr> out;
  for (const auto& [cookie, same] : by_cookie_) {
    for (const Ptr& socket : same) {
      if (!socket->emitted) out.push_back(socket);
    }
  }
  std::ranges::sort(out, {},
                    [](const Ptr& socket) { return std::tuple(socket->first_ns, socket->netns, socket->cookie); });
  return out;
}

void SocketTable::forget(const Ptr& socket) {
  const auto found = by_cookie_.find(socket->cookie);
  if (found == by_cookie_.end()) return;
  std::erase(found->second, socket);
  if (found->second.empty()) by_cookie_.erase(found);
}

}  // namespace conntrace::cli
