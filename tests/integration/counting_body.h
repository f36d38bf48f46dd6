// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <optional>
#include <string>

#include "conntrace/body_source.h"

namespace conntrace::test {

/// Counts what the transport does to it.
class CountingBody final : public BodySource {
 public:
  CountingBody(std::string bytes, bool rewinds) : bytes_(std::move(bytes)), rewinds_(rewinds) {}
  [[nodiscard]] std::optional<std::uint64_t> size() const override { return bytes_.size(); }
  [[nodiscard]] Result<Piece> read(char* into, std::size_t room) override {
    ++reads;
    const std::size_t count = bytes_.copy(into, room, at_);
    at_ += count;
    return count > 0 ? Piece{Status::data, count} : Piece{Status::end, 0};
  }
  [[nodiscard]] bool rewindable() const override { return rewinds_; }
  [[nodiscard]] bool rewind() override {
    at_ = 0;
    return rewinds_;
  }
  void close() noexcept override { ++closed; }

  std::atomic<int> reads = 0;
  std::atomic<int> closed = 0;

 private:
  const std::string bytes_;
  const bool rewinds_;
  std::size_t at_ = 0;
};

}  // namespace conntrace::test
