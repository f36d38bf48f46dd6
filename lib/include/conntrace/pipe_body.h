// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <condition_variable>
#include <mutex>
#include <string>
#include <string_view>

#include "conntrace/body_source.h"

namespace conntrace {

/// A request body that one thread writes while the transport sends it. It buffers up to `capacity` bytes.
///
///     auto body = std::make_shared<PipeBody>();
///     auto response = client.send_async({.method = "POST", .url = url, .body_source = body});
///     while (produce(&piece)) if (!body->write(piece)) break;
///     body->finish();
///
/// Threading: write(), finish() and fail() on one thread, not the transport's. Blocking: write(), while it is full.
/// Errors:    write() says cancelled when the request has ended: nobody wants the rest. It cannot be sent again, so a
///            request with it is not retried once it was read.
class PipeBody final : public BodySource {
 public:
  explicit PipeBody(std::optional<std::uint64_t> size = {}, std::size_t capacity = 64 * 1024);

  [[nodiscard]] Result<void> write(std::string_view bytes);
  /// That was all.
  void finish();
  /// There is more, but it cannot be had: the request fails with this error.
  void fail(Error error);

  [[nodiscard]] std::optional<std::uint64_t> size() const override { return size_; }
  [[nodiscard]] Result<Piece> read(char* into, std::size_t room) override;
  void on_attach(std::function<void()> wake) override;
  void close() noexcept override;

 private:
  /// Calls what on_attach was given, without the lock.
  void wake(std::unique_lock<std::mutex> lock);

  const std::optional<std::uint64_t> size_;
  const std::size_t capacity_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::function<void()> wake_;
  std::string buffer_;
  std::optional<Error> error_;
  bool finished_ = false;
  bool closed_ = false;
  bool reader_waits_ = false;
};

}  // namespace conntrace
