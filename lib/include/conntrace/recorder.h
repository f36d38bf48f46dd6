// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "conntrace/client_trace.h"
#include "conntrace/sink.h"

namespace conntrace {

/// Turns hooks into event records, JSON Lines (docs/event.schema.json), and gives them to sinks.
///
///     auto recorder = std::make_shared<Recorder>();
///     recorder->add_sink(*open_file_sink("events.jsonl"));
///     TransportOptions options{.trace = recorder->trace()};
///
/// Threading: any thread may add and remove sinks; records are made on the transport's thread. One Recorder may serve
///            several Transports of a process only if they do not run at once: request numbers would collide.
/// Lifetime:  its traces keep recording when the Recorder is gone. When the last of both is gone, each sink that is
///            left gets stream_end and is flushed, as by remove_sink.
/// Hooks:     without a sink each hook costs one load and one branch. wrote_header_field is not recorded.
class Recorder {
 public:
  Recorder();
  ~Recorder();
  Recorder(const Recorder&) = delete;
  Recorder& operator=(const Recorder&) = delete;

  /// The hooks, for TransportOptions::trace or compose(). They write to every sink that was added.
  [[nodiscard]] std::shared_ptr<const ClientTrace> trace();
  /// Hooks that write to this sink alone, for a snapshot (Transport::publish_snapshot). Writes stream_start to the
  /// sink, if it has none yet; add_sink() may follow. The hooks do nothing once the sink is removed.
  [[nodiscard]] std::shared_ptr<const ClientTrace> trace_to(std::shared_ptr<Sink> sink);
  /// Writes stream_start to the sink, if it has none yet, then every record from here on.
  void add_sink(std::shared_ptr<Sink> sink);
  /// Writes stream_end to the sink and lets it go. No record reaches it afterwards. Blocking: flushes the sink.
  void remove_sink(const std::shared_ptr<Sink>& sink);

 private:
  class Impl;
  std::shared_ptr<Impl> impl_;
};

}  // namespace conntrace
