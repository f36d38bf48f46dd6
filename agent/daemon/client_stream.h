// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "conntrace/unique_fd.h"
#include "record/line_queue.h"

namespace conntrace::agent {

/// Event records on their way to one client, which may be slow: it loses records then, and is told how many, where.
///
/// Threading: one thread. Blocking: never.
class ClientStream {
 public:
  /// `buffer_bytes`: what may wait for the client.
  ClientStream(UniqueFd socket, std::size_t buffer_bytes);

  /// One record, with its newline.
  void add(std::string_view line);
  /// One of those that say what is there, which a client gets however much it is.
  void add_surely(std::string_view line);
  /// One that says that `lost` records were lost elsewhere.
  void add_gap(std::string_view line, std::uint64_t lost);
  /// The last line; nothing follows. It is never lost.
  void end(std::string_view line);

  enum class Sent {
    all,      ///< nothing waits
    blocked,  ///< the client takes no more at present
    broken,   ///< it is gone
  };
  [[nodiscard]] Sent send();
  [[nodiscard]] bool ended() const { return ended_; }
  [[nodiscard]] int fd() const { return socket_.get(); }
  [[nodiscard]] std::uint64_t lost() const { return queue_.lost(); }
  /// Of add(), the lost ones excepted.
  [[nodiscard]] std::uint64_t records() const { return records_; }

 private:
  /// False: there is nothing to send.
  bool refill();

  UniqueFd socket_;
  LineQueue queue_;
  std::string gap_;  ///< goes before the batch
  LineQueue::Batch batch_;
  std::size_t sent_ = 0;  ///< of gap_ and batch_
  std::string last_line_;
  std::uint64_t records_ = 0;
  bool ended_ = false;
};

}  // namespace conntrace::agent
