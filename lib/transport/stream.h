// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>

#include "base/curl_handles.h"
#include "transport/socket_facts.h"

namespace conntrace::transport {

class Dialer;

enum class IoStatus { ok, again, end, error };

struct IoResult {
  IoStatus status = IoStatus::ok;
  std::size_t bytes = 0;
  int error_number = 0;  ///< errno, or 0 when libcurl does not say
};

/// A connected byte stream: a TCP socket of our own, or, for TLS, libcurl's handle around one.
///
/// Threading: the loop's. Lifetime: the Dialer must outlive it. Blocking: never.
class Stream {
 public:
  Stream() = default;
  /// Plain TCP: owns the descriptor.
  explicit Stream(int fd);
  /// TLS: the handle stays in the dialer's multi until close().
  Stream(Dialer& dialer, CurlShare share, CurlEasy easy, int fd);
  ~Stream();
  Stream(Stream&& other) noexcept;
  Stream& operator=(Stream&& other) noexcept;

  [[nodiscard]] IoResult send(const char* data, std::size_t size);
  [[nodiscard]] IoResult receive(char* data, std::size_t size);
  /// What an idle connection has to say, without taking data off a plain socket: `again` is a healthy silence, `ok` is
  /// bytes that nobody asked for (the first of them are in `data`).
  [[nodiscard]] IoResult peek(char* data, std::size_t size);
  /// Half-close: the peer sees the end of what is sent, and may go on sending. Over TLS nothing happens before close().
  void end_sending();
  [[nodiscard]] int fd() const { return fd_; }
  [[nodiscard]] bool open() const { return fd_ >= 0; }
  /// Without TLS: a short read means that the socket is empty.
  [[nodiscard]] bool plain() const { return easy_ == nullptr; }
  Ending close();

 private:
  [[nodiscard]] IoResult receive_tls(char* data, std::size_t size);
  IoResult noting(IoResult result);
  Dialer* dialer_ = nullptr;
  CurlShare share_;  // before easy_: the handle must go first
  CurlEasy easy_;
  int fd_ = -1;
  bool end_tells_ = true;  ///< what the socket says of its end is the peer's doing
  Ending first_;           ///< who was the first to end, if that is known before close()
};

}  // namespace conntrace::transport
