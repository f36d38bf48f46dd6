// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "conntrace/error.h"

namespace conntrace {

/// Where a Recorder's lines go.
///
/// Threading: write() is called by one thread at a time, mostly the transport's, under a lock of the recorder: it must
///            neither block nor call the recorder. What cannot be taken at once is dropped and counted by the sink,
///            which says so later with a gap record.
class Sink {
 public:
  virtual ~Sink() = default;
  /// One or more complete lines, each with its newline; `records` of them.
  virtual void write(std::string_view lines, std::uint64_t records) = 0;
  /// Asks that what was written reach its destination. Blocking; any thread.
  virtual Result<void> flush() = 0;
  /// Records dropped so far.
  [[nodiscard]] virtual std::uint64_t lost() const = 0;
  /// The stream's last record; nothing is written after it. Blocking, like flush().
  virtual void end(std::string_view line) {
    write(line, 1);
    (void)flush();
  }
};

struct FileSinkOptions {
  std::size_t buffer_bytes = 4u << 20;  ///< waiting to be written; beyond it records are dropped and counted
  /// How long flush() and the destructor wait for a pipe whose reader stands still.
  std::chrono::milliseconds patience = std::chrono::seconds(5);
};

/// Writes to a file (created, 0600, truncated) on a thread of its own, within some 20 ms.
///
/// Errors: once the file refused a record (disk full, pipe closed), flush() returns that error ever after. Records it
///         refuses are dropped and counted; it is tried again with those that follow, after a gap record. Only whole
///         lines stay in a file.
[[nodiscard]] Result<std::shared_ptr<Sink>> open_file_sink(const std::string& path, FileSinkOptions options = {});
/// The same for a descriptor that is open already; it is not closed, and must stay open until the sink is gone.
[[nodiscard]] std::shared_ptr<Sink> make_descriptor_sink(int fd, FileSinkOptions options = {});

}  // namespace conntrace
