// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include "commands/output.h"
#include "conntrace/event.h"

namespace conntrace::cli {

/// Writes events as they come, as event records.
class RawWriter {
 public:
  explicit RawWriter(Output& output) : output_(output) {}

  void write(const Event& event);
  /// On stderr: how many were written, and how many are missing.
  void account() const;

 private:
  Output& output_;
  std::string line_;
  std::uint64_t written_ = 0;
  std::uint64_t unknown_ = 0;  ///< of kinds of a newer library, which this version cannot write
  std::uint64_t lost_ = 0;     ///< as gap records say
};

}  // namespace conntrace::cli
