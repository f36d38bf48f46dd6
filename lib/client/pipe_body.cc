// SPDX-License-Identifier: Apache-2.0
#include "conntrace/pipe_body.h"

#include <algorithm>
#include <utility>

namespace conntrace {

PipeBody::PipeBody(std::optional<std::uint64_t> size, std::size_t capacity) : size_(size), capacity_(capacity) {}

void PipeBody::wake(std::unique_lock<std::mutex> lock) {
  const std::function<void()> call = std::exchange(reader_waits_, false) ? wake_ : nullptr;
  lock.unlock();
  if (call) call();
}

Result<void> PipeBody::write(std::string_view bytes) {
  while (!bytes.empty()) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return closed_ || buffer_.size() < capacity_; });
    if (closed_)
      return Failure(make_error(Errc::cancelled, "the request that this body was for has ended", Phase::send));
    const std::size_t taken = std::min(bytes.size(), capacity_ - buffer_.size());
    buffer_ += bytes.substr(0, taken);
    bytes.remove_prefix(taken);
    wake(std::move(lock));
  }
  return {};
}

void PipeBody::finish() {
  std::unique_lock lock(mutex_);
  finished_ = true;
  wake(std::move(lock));
}

void PipeBody::fail(Error error) {
  std::unique_lock lock(mutex_);
  error_ = std::move(error);
  wake(std::move(lock));
}

Result<BodySource::Piece> PipeBody::read(char* into, std::size_t room) {
  const std::lock_guard lock(mutex_);
  if (buffer_.empty()) {
    if (error_) return Failure(*error_);
    reader_waits_ = !finished_;
    return Piece{finished_ ? Status::end : Status::later, 0};
  }
  const std::size_t bytes = std::min(room, buffer_.size());
  buffer_.copy(into, bytes);
  buffer_.erase(0, bytes);
  changed_.notify_one();
  return Piece{Status::data, bytes};
}

void PipeBody::on_attach(std::function<void()> wake) {
  const std::lock_guard lock(mutex_);
  wake_ = std::move(wake);
}

void PipeBody::close() noexcept {
  const std::lock_guard lock(mutex_);
  closed_ = true;
  changed_.notify_all();
}

}  // namespace conntrace
