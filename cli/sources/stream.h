// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include "sources/event_sink.h"

namespace conntrace::cli {

/// The stream that one source of this program makes: stream_start first, every event counted, stream_end last.
///
/// Threading: one thread. Lifetime: the sink must outlive it.
class Stream {
 public:
  /// Gives stream_start to the sink. `source` is kernel, proc or diag.
  Stream(Source source, EventSink sink);

  void add(const Event& event);
  /// Gives stream_end to the sink, once. `lost`: records that this source knows it has lost.
  void end(std::uint64_t lost = 0);
  [[nodiscard]] std::uint64_t events() const { return events_; }

 private:
  const Source source_;
  const EventSink sink_;
  std::uint64_t records_ = 0;
  std::uint64_t events_ = 0;
  bool ended_ = false;
};

}  // namespace conntrace::cli
