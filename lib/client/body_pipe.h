// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <condition_variable>
#include <future>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>

#include "conntrace/body_reader.h"
#include "conntrace/transport.h"

namespace conntrace {

/// Between the transport's thread, which fills it, and a BodyReader's.
///
/// Threading: on_* on the transport's thread; the rest on the reader's.
class BodyReader::Pipe {
 public:
  static constexpr std::size_t kCapacity = 64 * 1024;

  explicit Pipe(Transport& transport) : transport_(transport) {}

  void on_head(const Response& head);
  [[nodiscard]] BodyAction on_body(std::string_view piece);
  void on_done(Result<Response> result);

  /// Waits for the head, or the error that came instead.
  [[nodiscard]] Result<Response> head() { return head_.get_future().get(); }
  [[nodiscard]] Result<std::size_t> read(char* into, std::size_t room);
  void close();

 private:
  Transport& transport_;  ///< the reader keeps it; the request's callbacks keep this, and must not keep their transport
  std::promise<Result<Response>> head_;
  bool head_given_ = false;  ///< on the transport's thread
  std::mutex mutex_;
  std::condition_variable changed_;
  RequestId request_ = 0;
  std::string buffer_;
  std::size_t taken_ = 0;  ///< of buffer_
  bool paused_ = false;
  bool ended_ = false;
  bool closed_ = false;
  std::optional<Error> error_;
};

}  // namespace conntrace
