// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>

#include "conntrace/error.h"
#include "conntrace/recorder.h"
#include "conntrace/transport.h"

namespace conntrace {

struct TapOptions {
  std::string path;                     ///< empty: tap_path() of this process
  std::size_t buffer_bytes = 1u << 20;  ///< for each reader; beyond it its records are dropped and counted
  std::size_t max_readers = 8;          ///< beyond it a reader is turned away
  /// How long the destructor waits for readers to take what is there, stream_end at last.
  std::chrono::milliseconds patience = std::chrono::milliseconds(200);
};

/// Lets `conntrace watch --pid` join this process at any time: a Unix stream socket (0600) that gives each reader
/// stream_start, a snapshot of live requests and connections, then events as JSON Lines.
///
/// Threading: any thread. Lifetime: transport and recorder must outlive it; the destructor turns readers away (they get
/// stream_end) and removes the socket.
/// Errors:    open() fails if the path cannot be bound; the application goes on without.
/// Security:  readers must be root or of the same effective uid (SO_PEERCRED); others are closed at once. A reader
/// sends
///            nothing; a slow one loses records, never the application's time, and is told by gap records.
class Tap {
 public:
  [[nodiscard]] static Result<std::unique_ptr<Tap>> open(std::shared_ptr<Transport> transport,
                                                         std::shared_ptr<Recorder> recorder, TapOptions options = {});
  ~Tap();
  Tap(const Tap&) = delete;
  Tap& operator=(const Tap&) = delete;

  [[nodiscard]] const std::string& path() const;

 private:
  class Impl;
  explicit Tap(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

/// Where the tap of a process listens, in that process' own mount and pid namespace: /tmp/.conntrace.PID.sock
[[nodiscard]] std::string tap_path(std::uint32_t pid);

}  // namespace conntrace
