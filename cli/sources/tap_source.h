// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>

#include "conntrace/unique_fd.h"
#include "sources/event_sink.h"
#include "sources/process.h"
#include "sources/record_reader.h"

namespace conntrace::cli {

/// The tap of one process that links the library (conntrace/tap.h), joined from outside.
///
/// Threading: one thread. Blocking: never; read() when fd() is readable.
/// Security:  the socket lies in a directory that others can write to, so its peer is believed only if the kernel says
///            (SO_PEERCRED) that it is that process.
class TapSource {
 public:
  /// Errors: ENOENT or ECONNREFUSED the process has no tap (now); EACCES it is another user's; EPERM somebody else
  /// listens there; EAGAIN its queue of readers is full.
  [[nodiscard]] static Result<std::unique_ptr<TapSource>> connect(const Process& process, EventSink sink);

  [[nodiscard]] int fd() const { return socket_.get(); }
  [[nodiscard]] const Process& process() const { return process_; }
  enum class Progress {
    drained,  ///< nothing more has arrived
    more,     ///< about 1 MiB was taken, and more may be there
    ended,    ///< the process closed it, or died
  };
  /// Takes what has arrived.
  [[nodiscard]] Result<Progress> read();
  /// Whether stream_end came, so that nothing was cut off.
  [[nodiscard]] bool ended_in_order() const { return ended_in_order_; }
  [[nodiscard]] const RecordReaderStats& stats() const { return reader_.stats(); }

 private:
  TapSource(UniqueFd socket, Process process, EventSink sink);
  void take(Event&& event);
  [[nodiscard]] Result<Progress> finish();

  UniqueFd socket_;
  const Process process_;
  const EventSink sink_;
  RecordReader reader_;
  bool ended_in_order_ = false;
};

}  // namespace conntrace::cli
