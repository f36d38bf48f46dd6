// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <mutex>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "agent/observer.h"
#include "conntrace/recorder.h"
#include "sources/stream.h"

namespace conntrace::cli {

/// Takes a Recorder's lines into memory. A demo is short.
class MemorySink final : public Sink {
 public:
  void write(std::string_view lines, std::uint64_t records) override;
  Result<void> flush() override { return {}; }
  [[nodiscard]] std::uint64_t lost() const override { return 0; }
  [[nodiscard]] std::string take();

 private:
  std::mutex mutex_;
  std::string lines_;
};

/// Both sides of this process: its own hooks as JSON Lines, and the kernel as far as this user may look.
///
/// Threading: make it before any thread; end() after the last. Errors of the kernel side are not failures: missing()
/// says what cannot be seen and why.
class DemoRecording {
 public:
  DemoRecording();

  [[nodiscard]] std::shared_ptr<const ClientTrace> trace() { return recorder_->trace(); }
  /// Empty: the kernel's side is whole.
  [[nodiscard]] const std::vector<std::string>& missing() const { return missing_; }
  /// Everything, in the order of its times. Errors: a line of ours that cannot be read back.
  [[nodiscard]] Result<std::vector<Event>> end();

 private:
  void census();
  void poll(const std::stop_token& stop);

  std::shared_ptr<MemorySink> sink_ = std::make_shared<MemorySink>();
  std::unique_ptr<Recorder> recorder_ = std::make_unique<Recorder>();
  std::vector<Event> events_;
  std::vector<std::string> missing_;
  std::unique_ptr<Stream> stream_;
  std::unique_ptr<agent::Observer> observer_;
  std::optional<Error> failed_;
  std::jthread poller_;  ///< alone with observer_, stream_ and events_ while it runs
};

}  // namespace conntrace::cli
