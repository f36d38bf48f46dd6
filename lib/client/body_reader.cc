// SPDX-License-Identifier: Apache-2.0
#include "conntrace/body_reader.h"

#include <algorithm>

#include "client/body_pipe.h"

namespace conntrace {

void BodyReader::Pipe::on_head(const Response& head) {
  {
    const std::lock_guard lock(mutex_);
    request_ = head.request;
  }
  head_given_ = true;
  head_.set_value(head);
}

BodyAction BodyReader::Pipe::on_body(std::string_view piece) {
  const std::lock_guard lock(mutex_);
  if (closed_) return BodyAction::stop;
  buffer_.erase(0, std::exchange(taken_, 0));
  buffer_ += piece;
  changed_.notify_one();
  paused_ = buffer_.size() >= kCapacity;
  return paused_ ? BodyAction::pause : BodyAction::go_on;
}

void BodyReader::Pipe::on_done(Result<Response> result) {
  if (!head_given_) {
    head_.set_value(result ? Result<Response>(std::move(*result)) : Failure(std::move(result).error()));
    return;
  }
  const std::lock_guard lock(mutex_);
  ended_ = true;
  if (!result) error_ = std::move(result).error();
  changed_.notify_one();
}

Result<std::size_t> BodyReader::Pipe::read(char* into, std::size_t room) {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [&] { return taken_ < buffer_.size() || ended_ || closed_; });
  if (closed_) return Failure(make_error(Errc::cancelled, "the body was closed", Phase::receive));
  if (taken_ == buffer_.size()) {
    if (error_) return Failure(*error_);
    return 0;
  }
  const std::size_t bytes = std::min(room, buffer_.size() - taken_);
  buffer_.copy(into, bytes, taken_);
  taken_ += bytes;
  if (taken_ < buffer_.size()) return bytes;
  buffer_.clear();
  taken_ = 0;
  if (std::exchange(paused_, false)) {
    lock.unlock();
    transport_.resume(request_);
  }
  return bytes;
}

void BodyReader::Pipe::close() {
  {
    const std::lock_guard lock(mutex_);
    if (std::exchange(closed_, true) || ended_) return;
  }
  transport_.abandon_body(request_);
}

BodyReader::BodyReader(std::shared_ptr<Transport> transport, std::shared_ptr<Pipe> pipe)
    : transport_(std::move(transport)), pipe_(std::move(pipe)) {}
BodyReader::~BodyReader() { close(); }
BodyReader::BodyReader(BodyReader&&) noexcept = default;
BodyReader& BodyReader::operator=(BodyReader&& other) noexcept {
  if (this != &other) {
    close();
    transport_ = std::move(other.transport_);
    pipe_ = std::move(other.pipe_);
  }
  return *this;
}

Result<std::size_t> BodyReader::read(char* into, std::size_t room) { return pipe_->read(into, room); }

Result<std::string> BodyReader::read_all(std::size_t max_bytes) {
  std::string all;
  std::string piece(Pipe::kCapacity, '\0');
  for (;;) {
    const auto bytes = read(piece.data(), piece.size());
    if (!bytes) return Failure(bytes.error());
    if (*bytes == 0) return all;
    if (*bytes > max_bytes - all.size()) {
      close();
      return Failure(
          make_error(Errc::body_too_large, "more than " + std::to_string(max_bytes) + " bytes", Phase::receive));
    }
    all.append(piece, 0, *bytes);
  }
}

void BodyReader::close() {
  if (pipe_ != nullptr) pipe_->close();
}

}  // namespace conntrace
