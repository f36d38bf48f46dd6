// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "conntrace/error.h"
#include "conntrace/unique_fd.h"

namespace conntrace::cli {

/// Where a command's data goes: a file, or stdout. Only whole lines reach it.
///
/// A reader that goes away (closed pipe) is the end of the command, not an error. When a disk is full, a regular file
/// is cut back to its last whole line.
///
/// Threading: one thread. Blocking: as its descriptor. Errors: the first one is kept and ends all further writing.
class Output {
 public:
  /// Empty or "-": stdout. A file is created (0600) or truncated. Requires that SIGPIPE is ignored.
  [[nodiscard]] static Result<Output> open(const std::string& path);

  /// One or more whole lines. Written at the latest by flush().
  void write(std::string_view lines);
  /// False: nothing can be written any more; see status().
  bool flush();
  /// False after an error or when the reader has gone.
  [[nodiscard]] bool usable() const { return !error_ && !reader_gone_; }
  /// Flushes, prints an error if there was one, and says the exit status: `otherwise` if all is well.
  [[nodiscard]] int finish(int otherwise);

  [[nodiscard]] int fd() const { return fd_; }
  [[nodiscard]] bool is_stdout() const { return !owned_.valid(); }

 private:
  Output(UniqueFd owned, int fd, std::string name) : owned_(std::move(owned)), fd_(fd), name_(std::move(name)) {}
  void fail(int error_number);

  UniqueFd owned_;
  int fd_ = -1;
  std::string name_;
  std::string buffer_;
  std::uint64_t whole_ = 0;  ///< bytes in the file up to the end of the last whole line
  std::optional<Error> error_;
  bool reader_gone_ = false;
};

/// Whether writing to `path` would destroy the file that `input` names. Both may be "-" or empty.
[[nodiscard]] bool is_same_file(const std::string& path, const std::string& input);

}  // namespace conntrace::cli
