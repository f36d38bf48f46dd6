// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <array>
#include <vector>

#include "conntrace/clock.h"
#include "conntrace/error.h"

namespace conntrace::transport {

/// Where a request, or a dial, is, and how long it was in each phase before.
class PhaseClock {
 public:
  void enter(Phase phase, MonoTime now) {
    total_[static_cast<std::size_t>(phase_)] += now - since_;
    phase_ = phase;
    since_ = now;
  }
  void start(MonoTime now) { since_ = now; }
  [[nodiscard]] Phase phase() const { return phase_; }
  /// The part of the phase under way that a dial explains better becomes the dial's phases.
  void split(const PhaseClock& dial, MonoTime now) {
    enter(phase_, now);
    MonoTime in_dial{};
    for (std::size_t i = 1; i < total_.size(); ++i) {
      const MonoTime part =
          dial.total_[i] + (static_cast<std::size_t>(dial.phase_) == i ? now - dial.since_ : MonoTime{});
      in_dial += part;
      total_[i] += part;
    }
    total_[static_cast<std::size_t>(phase_)] -= std::min(in_dial, total_[static_cast<std::size_t>(phase_)]);
  }
  /// Without the phases that took no time.
  [[nodiscard]] std::vector<PhaseTime> spent() const {
    std::vector<PhaseTime> out;
    for (std::size_t i = 1; i < total_.size(); ++i) {
      if (total_[i].count() > 0) out.push_back({static_cast<Phase>(i), total_[i]});
    }
    return out;
  }

 private:
  std::array<MonoTime, Names<Phase>::list.size()> total_{};
  Phase phase_ = Phase::none;
  MonoTime since_{};
};

}  // namespace conntrace::transport
