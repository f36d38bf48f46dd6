// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "conntrace/clock.h"
#include "timeline/request_state.h"

namespace conntrace::cli {

struct CensusState {
  std::uint64_t mono_ns = 0;
  Source source = Source::kernel;
  FdFacts facts;
};

struct LossSpan {
  std::uint64_t from_ns = 0;
  std::uint64_t to_ns = 0;
};

/// One process, whoever reported it.
struct ProcessState {
  ProcessFacts facts;
  bool by_hook = false;
  bool by_kernel = false;
  std::optional<ClockPair> clock;
  std::map<std::uint64_t, std::shared_ptr<RequestState>> requests;
  std::deque<std::uint64_t> done_requests;  ///< the last that were given out, oldest first
  std::unordered_map<std::uint64_t, std::shared_ptr<DialState>> dials;
  std::deque<std::shared_ptr<DialState>> closed;  ///< the last connections that closed, oldest first
  std::deque<CensusState> censuses;
  std::vector<FdClass> fd_classes;  ///< of the last census; empty: it only counted
  std::optional<FdFacts> shown;     ///< the last census that was given out
  std::uint64_t limit_hits = 0;
  std::deque<std::uint64_t> hit_times;
  std::vector<LossSpan> losses;
  std::uint64_t last_hook_ns = 0;
  std::uint64_t exited_ns = 0;
};

/// The processes of one boot, by pid and start time. A pid that is used again is another process.
class ProcessTable {
 public:
  using Ptr = std::shared_ptr<ProcessState>;

  ProcessTable() = default;
  ~ProcessTable();
  ProcessTable(const ProcessTable&) = delete;
  ProcessTable& operator=(const ProcessTable&) = delete;

  /// The process of a record; made if it is new. start_time_ns 0: the latest with this pid.
  Ptr get(std::uint32_t pid, std::uint64_t start_time_ns);
  [[nodiscard]] Ptr find(std::uint32_t pid, std::uint64_t start_time_ns) const;
  /// Forgets a process and what belongs to it.
  void erase(const Ptr& process);
  [[nodiscard]] const std::vector<Ptr>& all() const { return all_; }

 private:
  std::unordered_map<std::uint32_t, std::vector<Ptr>> by_pid_;  ///< latest last
  std::vector<Ptr> all_;                                        ///< in order of appearance
};

}  // namespace conntrace::cli
