// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <string>
#include <tuple>

namespace conntrace::agent {

/// DNS questions whose answer has not come, so that an answer finds its latency and the thread that asked.
///
/// Bounded: the oldest are forgotten, and their answers then have no latency.
class PendingQuestions {
 public:
  /// A socket asks more than one question at a time (A and AAAA), and ids may repeat over sockets.
  struct Key {
    std::uint64_t netns;
    std::uint64_t cookie;
    std::uint16_t id;
    std::string name;
    std::string type;
    friend bool operator<(const Key& left, const Key& right) {
      return std::tie(left.netns, left.cookie, left.id, left.name, left.type) <
             std::tie(right.netns, right.cookie, right.id, right.name, right.type);
    }
  };
  struct Asked {
    std::uint64_t mono_ns;
    std::uint32_t tid;
  };

  /// The same question again (a retry) replaces the former: the latency is since the last one sent.
  void ask(Key key, Asked asked);
  /// And forgets it: a second answer has no latency.
  [[nodiscard]] std::optional<Asked> answer(const Key& key);

 private:
  static constexpr std::size_t kMost = 16384;
  struct Entry {
    Asked asked;
    std::uint64_t number;
  };
  std::map<Key, Entry> pending_;
  std::deque<std::pair<std::uint64_t, Key>> order_;  // some are answered or replaced by now
  std::uint64_t asked_so_far_ = 0;
};

}  // namespace conntrace::agent
