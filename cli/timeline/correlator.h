// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>

#include "conntrace/event.h"
#include "timeline/model.h"

namespace conntrace::cli {

/// Where finished timelines go, in the order in which they were finished.
struct TimelineSink {
  std::function<void(const RequestTimeline&)> request;
  std::function<void(const ConnectionTimeline&)> connection;
  std::function<void(const ProcessTimeline&)> process;
};

struct CorrelatorOptions {
  /// Records may arrive this much out of order and are sorted; later ones are counted as late and used as they come.
  std::chrono::nanoseconds window = std::chrono::milliseconds(100);
};

/// What happened to every record that add() took: used + unknown + unmatched = records.
struct CorrelatorStats {
  std::uint64_t records = 0;
  std::uint64_t used = 0;       ///< became part of a timeline, or of what is known of its stream or process
  std::uint64_t unknown = 0;    ///< kinds of a newer version
  std::uint64_t unmatched = 0;  ///< belonged to no request, connection or process that is known
  std::uint64_t late = 0;       ///< of them: came after the window
  std::uint64_t lost = 0;       ///< said to be lost by gap records and stream_end
};

/// Joins event records of any number of sources to timelines: by request and connection number within a process, by
/// (network namespace, cookie) across library and kernel, by resolver thread and name for DNS.
///
/// Streaming: a request timeline is given out when its request_done and the window have passed, a connection's when it
/// closed. finish() gives out the rest: what was still open is closed: null, what was never finished "complete": false.
///
/// Threading: one thread. Errors: none; what cannot be used is counted.
class Correlator {
 public:
  Correlator(CorrelatorOptions options, TimelineSink sink);
  ~Correlator();

  /// Views are copied as needed; the event may go when it returns.
  void add(const Event& event);
  /// Time has passed without records (live sources): everything older than now - window may be given out.
  void advance(std::uint64_t mono_ns);
  void finish();
  [[nodiscard]] CorrelatorStats stats() const;

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace conntrace::cli
