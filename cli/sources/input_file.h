// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "conntrace/error.h"
#include "conntrace/unique_fd.h"
#include "sources/record_reader.h"

namespace conntrace::cli {

/// Bytes of a file, a pipe or stdin ("-"), in pieces; the beginning can be looked at before.
class InputFile {
 public:
  /// Errors: as open(2); EISDIR.
  [[nodiscard]] static Result<InputFile> open(const std::string& path);

  /// The first line, without its newline, as far as 64 KiB go. Nothing is consumed.
  [[nodiscard]] Result<std::string_view> first_line();
  /// The next piece; empty at the end. Valid until the next call.
  [[nodiscard]] Result<std::string_view> read();
  [[nodiscard]] const std::string& name() const { return name_; }

 private:
  InputFile(UniqueFd fd, std::string name) : fd_(std::move(fd)), name_(std::move(name)) {}
  [[nodiscard]] Result<std::size_t> fill();

  UniqueFd fd_;
  std::string name_;
  std::string buffer_;
  bool looked_ = false;  ///< buffer_ holds what first_line() read
  bool at_end_ = false;
};

/// Event records of one file, one at a time, so that several files can be merged.
///
/// Memory: bounded by one piece of the file. Errors: kept; the events before it were good.
class EventFile {
 public:
  explicit EventFile(InputFile input) : input_(std::move(input)), reader_(input_.name()) {}

  /// The next event, or nullptr at the end or after an error.
  [[nodiscard]] const Event* peek();
  void pop() { events_.pop_front(); }
  [[nodiscard]] const std::optional<Error>& error() const { return error_; }
  [[nodiscard]] const RecordReaderStats& stats() const { return reader_.stats(); }
  [[nodiscard]] const std::string& name() const { return input_.name(); }

 private:
  InputFile input_;
  RecordReader reader_;
  std::deque<Event> events_;
  std::optional<Error> error_;
  bool finished_ = false;
};

/// Gives the events of all files to `take`, the earliest of their next ones first, until it returns false.
void merge_events(std::vector<EventFile>& files, const std::function<bool(const Event&)>& take);

}  // namespace conntrace::cli
