// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <utility>

#include "conntrace/sink.h"
#include "conntrace/unique_fd.h"
#include "record/line_queue.h"
#include "record/process_identity.h"

namespace conntrace {

/// Wakes the tap's thread. Shared, since a recorder may hold a reader for a moment longer than the tap lives.
class TapWakeup {
 public:
  explicit TapWakeup(UniqueFd event) : event_(std::move(event)) {}

  [[nodiscard]] int fd() const { return event_.get(); }
  /// There is something to send: wakes the thread, unless it has been told already. `many`: it should not linger.
  void signal(bool many) noexcept;
  /// Takes the event itself; true: it should not linger. signal() stays quiet until acknowledge().
  [[nodiscard]] bool acknowledge_event() noexcept;
  /// From here on the next signal() wakes again. To be called before the readers are looked at.
  void acknowledge() noexcept;

 private:
  UniqueFd event_;
  std::atomic<bool> any_ = false;
  std::atomic<bool> many_ = false;
};

/// One reader of the tap: a sink whose lines the tap's thread sends as the reader takes them.
///
/// Threading: write(), end(), lost(): any thread, and they never wait for the reader. send(), close(), fd(): the tap's
///            thread.
class TapReader final : public Sink {
 public:
  TapReader(UniqueFd socket, std::size_t buffer_bytes, std::shared_ptr<TapWakeup> wakeup,
            const ProcessIdentity& process);

  void write(std::string_view lines, std::uint64_t records) override;
  /// Nothing to wait for: a reader is never waited for.
  Result<void> flush() override { return {}; }
  [[nodiscard]] std::uint64_t lost() const override;
  /// Kept beside the buffer, so that there is room for it.
  void end(std::string_view line) override;

  enum class Sent {
    all,      ///< nothing is left
    more,     ///< something came meanwhile
    blocked,  ///< the reader takes no more at present
    broken    ///< the reader is gone
  };
  [[nodiscard]] Sent send();
  /// Whoever adds the reader somewhere must take it away again if it is retired by then.
  void retire() { retired_.store(true); }
  [[nodiscard]] bool retired() const { return retired_.load(); }
  /// Retires, and drops what was not sent. Writes do nothing afterwards.
  void close();
  [[nodiscard]] int fd() const { return socket_.get(); }

 private:
  [[nodiscard]] Sent send_outgoing();
  /// Fills outgoing_ again; false: there is nothing.
  bool refill();

  const std::shared_ptr<TapWakeup> wakeup_;

  // The tap's thread's own.
  const ProcessIdentity& process_;
  UniqueFd socket_;
  LineQueue::Batch batch_;
  std::string outgoing_;
  std::size_t sent_ = 0;

  std::atomic<bool> retired_ = false;
  std::atomic<bool> blocked_ = false;  ///< no signal is needed: what comes is sent when the reader takes more
  mutable std::mutex mutex_;
  LineQueue queue_;
  std::string last_line_;
  bool ended_ = false;  ///< by end() or close(): nothing follows
};

}  // namespace conntrace
