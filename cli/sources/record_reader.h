// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "conntrace/error.h"
#include "conntrace/event.h"

namespace conntrace {

/// What a RecordReader met. Every line that is not blank is in exactly one of records, unknown and malformed.
struct RecordReaderStats {
  std::uint64_t lines = 0;  ///< blank ones included
  std::uint64_t blank = 0;
  std::uint64_t records = 0;    ///< of kinds that this version knows
  std::uint64_t unknown = 0;    ///< records of a kind, or with a value, of a later version
  std::uint64_t malformed = 0;  ///< lines that are not records, an unfinished last line included
  std::uint64_t shortened = 0;  ///< of the records, those that say "truncated": their writer cut texts or lists
  bool unfinished_last_line = false;

  struct Problem {
    std::uint64_t line = 0;
    std::string what;  ///< for people: where and what
  };
  static constexpr std::size_t kMaxProblems = 20;
  std::vector<Problem> problems;  ///< the first kMaxProblems of the malformed lines
};

/// Reads event records, JSON Lines in pieces of any size, and gives each as an Event.
///
/// Unknown fields are skipped. A record of an unknown kind, or with a value that this version has no name for, is given
/// with an empty payload. A malformed line is counted and given as a gap event (reason malformed) of the time of the
/// record before it, so that nobody takes the stream for complete.
///
/// Lifetime:  events keep what they view alive through Event::storage; a block of it is shared by neighbours, so own()
///            what is kept long.
/// Threading: one thread at a time.
/// Errors:    bad_record if the first line is not an event record, newer_schema at a stream_start of a later schema.
///            Both are final: each later call returns the same error.
class RecordReader {
 public:
  using OnEvent = std::function<void(Event&&)>;

  /// `name` is the file's, for messages.
  explicit RecordReader(std::string name);
  ~RecordReader();
  RecordReader(RecordReader&&) noexcept;
  RecordReader& operator=(RecordReader&&) noexcept;

  [[nodiscard]] Result<void> feed(std::string_view bytes, const OnEvent& on_event);
  /// No more bytes come. A last line without a newline counts if it is whole; otherwise it is reported and skipped.
  [[nodiscard]] Result<void> finish(const OnEvent& on_event);
  [[nodiscard]] const RecordReaderStats& stats() const;

  /// Longer lines are malformed.
  static constexpr std::size_t kMaxInputLine = 1u << 20;

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace conntrace
