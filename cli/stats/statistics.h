// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>
#include <string>
#include <unordered_map>

#include "stats/distribution.h"
#include "stats/report.h"
#include "timeline/model.h"

namespace conntrace::cli {

/// Adds up timelines.
///
/// Threading: one thread. Memory: bounded: 1000 hosts, 20,000 holders, and what Distribution takes.
class Statistics {
 public:
  void add(const RequestTimeline& timeline);
  void add(const ConnectionTimeline& timeline);
  void add(const ProcessTimeline& timeline);
  [[nodiscard]] StatsReport report() const;

 private:
  using Phases = std::map<std::string, Distribution>;
  struct Host {
    std::uint64_t requests = 0;
    std::uint64_t failed = 0;
    std::uint64_t reused = 0;
    std::uint64_t fresh = 0;
    Phases phases;
    void add(const RequestTimeline& timeline);
  };
  struct Holder {
    std::uint64_t held_up = 0;
    double waited_ns = 0;
  };
  using Words = std::map<std::string, std::uint64_t>;

  void add_wait(const BlockedFacts& wait, std::uint64_t duration_ns);
  void forget_small_holders();
  void add_idle(std::uint64_t ns);
  void add_findings(const std::vector<Finding>& findings);

  Host all_;
  std::uint64_t incomplete_ = 0;
  std::uint64_t connections_ = 0;
  std::uint64_t still_open_ = 0;
  std::map<std::string, Host> hosts_;
  std::map<std::string, Distribution> queue_;
  std::unordered_map<std::string, Holder> holders_;
  bool holders_exact_ = true;
  Words failed_in_;
  Words why_new_;
  std::map<std::tuple<CloseReason, ClosedBy, CloseHow>, std::uint64_t> closes_;
  std::map<std::size_t, std::uint64_t> idle_;  ///< by index of kIdleBounds
  Words findings_;
};

}  // namespace conntrace::cli
