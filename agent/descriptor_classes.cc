// SPDX-License-Identifier: Apache-2.0
#include "agent/descriptor_classes.h"

#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <algorithm>
#include <cstring>
#include <map>
#include <string_view>
#include <tuple>

#include "agent/address.h"

namespace conntrace::agent {
namespace {

std::string_view kind_of_socket(const conntrace_fd_class& what) {
  switch (what.family) {
    case AF_INET:
    case AF_INET6:
      if (what.protocol == IPPROTO_TCP) return "tcp";
      if (what.protocol == IPPROTO_UDP) return "udp";
      return "socket";
    case AF_UNIX: return "unix";
    case AF_NETLINK: return "netlink";
    case AF_PACKET: return "packet";
    default: return "socket";
  }
}

/// The kernel writes most of these names in brackets.
std::string_view kind_of_anonymous(const conntrace_fd_class& what) {
  const auto* const text = reinterpret_cast<const char*>(what.name);
  std::string_view name(text, strnlen(text, sizeof what.name));
  if (!name.empty() && name.front() == '[') name.remove_prefix(1);
  if (!name.empty() && name.back() == ']') name.remove_suffix(1);
  return name.empty() ? std::string_view("anonymous") : name;
}

std::string_view kind_of(const conntrace_fd_class& what) {
  switch (what.mode) {
    case S_IFSOCK: return kind_of_socket(what);
    case S_IFREG: return "file";
    case S_IFDIR: return "directory";
    case S_IFIFO: return "pipe";
    case S_IFCHR: return "character";
    case S_IFBLK: return "block";
    case S_IFLNK: return "link";
    default: return kind_of_anonymous(what);
  }
}

std::string peer_of(const conntrace_fd_class& what) {
  if (what.mode != S_IFSOCK || (what.family != AF_INET && what.family != AF_INET6)) return {};
  static constexpr unsigned char kNone[sizeof what.name] = {};
  if (what.port == 0 && std::memcmp(what.name, kNone, sizeof kNone) == 0) return {};
  conntrace_endpoint peer{.address = {}, .port = what.port, .family = what.family, .zero = 0};
  std::memcpy(peer.address, what.name, sizeof peer.address);
  return what.port != 0 ? to_string(peer) : address_of(peer);
}

}  // namespace

FdClasses::FdClasses(const std::vector<FdTally>& tallies) {
  // IPv4 and the same mapped into IPv6 are one class.
  std::map<std::tuple<std::string, TcpState, std::string>, std::uint64_t> classes;
  for (const FdTally& entry : tallies) {
    total_ += entry.count;
    const auto state = static_cast<TcpState>(entry.what.state);
    classes[{std::string(kind_of(entry.what)), state, peer_of(entry.what)}] += entry.count;
  }
  const auto by_count = [&classes] {
    std::vector<decltype(classes)::const_pointer> order;
    order.reserve(classes.size());
    for (const auto& entry : classes) order.push_back(&entry);
    std::stable_sort(order.begin(), order.end(), [](const auto* a, const auto* b) { return a->second > b->second; });
    return order;
  };
  while (classes.size() > kMaxFdClasses) {
    // Those with the fewest lose their peers, enough of them to make room; what has no peer to lose stays.
    auto order = by_count();
    std::erase_if(order, [](const auto* entry) { return std::get<2>(entry->first).empty(); });
    if (order.empty()) break;
    const std::size_t keep = order.size() > kMaxFdClasses / 2 ? kMaxFdClasses / 2 : order.size() / 2;
    for (std::size_t i = keep; i < order.size(); ++i) {
      const auto [kind, state, peer] = order[i]->first;
      const std::uint64_t count = order[i]->second;
      classes.erase({kind, state, peer});
      classes[{kind, state, std::string()}] += count;
    }
  }
  const auto order = by_count();
  texts_.reserve(2 * order.size());
  for (const auto* entry : order) {
    const auto& [kind, state, peer] = entry->first;
    const Text kept_kind = texts_.emplace_back(kind);
    const Text kept_peer = texts_.emplace_back(peer);
    counts_.push_back({.kind = kept_kind, .state = state, .peer = kept_peer, .count = entry->second});
  }
}

}  // namespace conntrace::agent
