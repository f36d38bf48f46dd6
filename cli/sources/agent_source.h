// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/types.h>

#include <memory>
#include <string>
#include <vector>

#include "conntrace/unique_fd.h"
#include "sources/event_sink.h"
#include "sources/record_reader.h"

namespace conntrace::cli {

/// What conntrace-agent sees of some processes, or of all that it shows this user. Needs no privilege.
///
/// Threading: one thread. Blocking: connect(), until the agent has answered, and finish(); read() when fd() is
/// readable.
/// Security:  the agent is believed if the kernel says (SO_PEERCRED) that it is root's, this user's, or that of a
///            folder's owner where nobody else may write.
class AgentSource {
 public:
  /// Errors: ENOENT or ECONNREFUSED no agent runs; EPERM it refuses: a process is another user's; ESRCH it is gone; the
  /// context has the agent's own words.
  /// `interrupt`: a descriptor that is readable when the user has had enough of waiting; then EINTR, here and in
  /// finish().
  [[nodiscard]] static Result<std::unique_ptr<AgentSource>> connect(const std::vector<pid_t>& pids, bool all,
                                                                    int interrupt, EventSink sink);

  /// Whether somebody listens there.
  [[nodiscard]] static bool listens();

  [[nodiscard]] int fd() const { return socket_.get(); }
  enum class Progress {
    drained,  ///< nothing more has arrived
    more,     ///< about 1 MiB was taken, and more may be there
    ended,    ///< the agent closed it, or died; then a gap event was given
  };
  /// Takes what has arrived.
  [[nodiscard]] Result<Progress> read();
  /// Until everything that happened before this call has been given, and the agent has let go.
  [[nodiscard]] Result<void> finish();

 private:
  AgentSource(UniqueFd socket, std::string path, int interrupt, EventSink sink);
  /// Until the agent has said something: its stream, or that it refuses.
  [[nodiscard]] Result<void> begin();
  [[nodiscard]] Result<void> feed(std::string_view bytes);
  [[nodiscard]] Result<void> end();

  UniqueFd socket_;
  const std::string path_;
  const int interrupt_;
  const EventSink sink_;
  RecordReader reader_;
  std::string first_line_;  ///< until it is known to be no refusal
  bool begun_ = false;
  bool ended_in_order_ = false;  ///< stream_end came
};

}  // namespace conntrace::cli
