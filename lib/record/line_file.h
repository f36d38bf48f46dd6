// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <string_view>

namespace conntrace {

/// Writes lines to a descriptor and leaves no part of a line behind where that can be helped.
///
/// Threading: one thread. Blocking: as long as a file takes; a pipe or a socket only while `keep_waiting` says so.
class LineFile {
 public:
  explicit LineFile(int fd);

  struct Written {
    std::size_t whole_lines = 0;  ///< bytes of the lines that are there completely
    int error = 0;                ///< errno, 0 if all is written
  };
  /// Asks `keep_waiting` about every 50 ms while the other side takes nothing; false ends it with ETIMEDOUT.
  [[nodiscard]] Written write(std::string_view lines, const std::function<bool()>& keep_waiting);

 private:
  /// 0 when the descriptor takes bytes.
  [[nodiscard]] int wait(const std::function<bool()>& keep_waiting) const;
  /// Takes back the last `bytes` bytes of a file. False: they stay.
  [[nodiscard]] bool take_back(std::size_t bytes) const;

  int fd_;
  bool is_file_;
  int broken_ = 0;  ///< errno of a write that left part of a line: nothing may follow it
};

}  // namespace conntrace
