// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <memory>
#include <string>
#include <utility>

#include "conntrace/body_source.h"

namespace conntrace::client {

/// A body that is there as a whole; requests that repeat it share it.
class StringSource final : public BodySource {
 public:
  explicit StringSource(std::string body) : body_(std::move(body)) {}
  [[nodiscard]] std::optional<std::uint64_t> size() const override { return body_.size(); }
  [[nodiscard]] Result<Piece> read(char* into, std::size_t room) override {
    const std::size_t bytes = body_.copy(into, room, at_);
    at_ += bytes;
    return Piece{bytes > 0 ? Status::data : Status::end, bytes};
  }
  [[nodiscard]] bool rewindable() const override { return true; }
  [[nodiscard]] bool rewind() override {
    at_ = 0;
    return true;
  }

 private:
  const std::string body_;
  std::size_t at_ = 0;
};

/// An application's source, for one of several requests that read it: it is not closed with that request.
class KeptOpen final : public BodySource {
 public:
  explicit KeptOpen(std::shared_ptr<BodySource> source) : source_(std::move(source)) {}
  [[nodiscard]] std::optional<std::uint64_t> size() const override { return source_->size(); }
  [[nodiscard]] Result<Piece> read(char* into, std::size_t room) override { return source_->read(into, room); }
  [[nodiscard]] std::vector<std::string> trailer_names() const override { return source_->trailer_names(); }
  [[nodiscard]] Headers trailers() override { return source_->trailers(); }
  [[nodiscard]] bool rewindable() const override { return source_->rewindable(); }
  [[nodiscard]] bool rewind() override { return source_->rewind(); }
  void on_attach(std::function<void()> wake) override { source_->on_attach(std::move(wake)); }

 private:
  const std::shared_ptr<BodySource> source_;
};

}  // namespace conntrace::client
