// SPDX-License-Identifier: Apache-2.0
#include "transport/stream.h"

#include <sys/socket.h>

#include <cerrno>
#include <utility>

#include "transport/dialer.h"
#include "transport/socket_facts.h"

namespace conntrace::transport {
namespace {

IoResult from_syscall(ssize_t result) {
  if (result > 0) return {IoStatus::ok, static_cast<std::size_t>(result), 0};
  if (result == 0) return {IoStatus::end, 0, 0};
  if (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR) return {IoStatus::again, 0, 0};
  return {IoStatus::error, 0, errno};
}

IoResult from_curl(CURLcode code, std::size_t bytes, CURL* easy) {
  if (code == CURLE_OK) return {bytes > 0 ? IoStatus::ok : IoStatus::end, bytes, 0};
  if (code == CURLE_AGAIN) return {IoStatus::again, 0, 0};
  long error_number = 0;
  curl_easy_getinfo(easy, CURLINFO_OS_ERRNO, &error_number);
  return {IoStatus::error, 0, static_cast<int>(error_number)};
}

/// Whose end it was that a read came to. The application may have shut down a duplicate of its socket.
ClosedBy first_at_end(TcpState state, bool tls) {
  switch (state) {
    case TcpState::FIN_WAIT1:
    case TcpState::FIN_WAIT2:
    case TcpState::CLOSING: return ClosedBy::local;
    case TcpState::CLOSE_WAIT:
    case TcpState::LAST_ACK:
    case TcpState::NONE: return ClosedBy::peer;
    // The peer's close_notify ended it, even if its FIN is still on the way.
    default: return tls ? ClosedBy::peer : ClosedBy::unknown;
  }
}

}  // namespace

Stream::Stream(int fd) : fd_(fd) {}

Stream::Stream(Dialer& dialer, CurlShare share, CurlEasy easy, int fd)
    : dialer_(&dialer), share_(std::move(share)), easy_(std::move(easy)), fd_(fd) {}

Stream::~Stream() { close(); }

Stream::Stream(Stream&& other) noexcept
    : dialer_(other.dialer_),
      share_(std::move(other.share_)),
      easy_(std::move(other.easy_)),
      fd_(std::exchange(other.fd_, -1)),
      end_tells_(other.end_tells_),
      first_(other.first_) {}

Stream& Stream::operator=(Stream&& other) noexcept {
  if (this == &other) return *this;
  close();
  dialer_ = other.dialer_;
  share_ = std::move(other.share_);
  easy_ = std::move(other.easy_);
  fd_ = std::exchange(other.fd_, -1);
  end_tells_ = other.end_tells_;
  first_ = other.first_;
  return *this;
}

IoResult Stream::send(const char* data, std::size_t size) {
  if (easy_ == nullptr) return noting(from_syscall(::send(fd_, data, size, MSG_NOSIGNAL | MSG_DONTWAIT)));
  std::size_t bytes = 0;
  const CURLcode code = curl_easy_send(easy_.get(), data, size, &bytes);
  return from_curl(code, bytes, easy_.get());
}

IoResult Stream::receive(char* data, std::size_t size) {
  return noting(easy_ == nullptr ? from_syscall(::recv(fd_, data, size, MSG_DONTWAIT)) : receive_tls(data, size));
}

IoResult Stream::receive_tls(char* data, std::size_t size) {
  std::size_t bytes = 0;
  const CURLcode code = curl_easy_recv(easy_.get(), data, size, &bytes);
  return from_curl(code, bytes, easy_.get());
}

IoResult Stream::noting(IoResult result) {
  // After an error that was taken off the socket, or after our own FIN, an end says nothing about the peer.
  if (result.status == IoStatus::error) end_tells_ = false;
  if (result.status == IoStatus::end && end_tells_ && first_.by == ClosedBy::unknown) {
    first_.by = first_at_end(tcp_state(fd_), easy_ != nullptr);
  }
  return result;
}

IoResult Stream::peek(char* data, std::size_t size) {
  if (easy_ == nullptr) return noting(from_syscall(::recv(fd_, data, size, MSG_DONTWAIT | MSG_PEEK)));
  return receive(data, size);  // takes TLS records that are not data, such as session tickets
}

void Stream::end_sending() {
  if (easy_ != nullptr) return;
  const Ending ending = end_sending_side(fd_);
  if (end_tells_ && first_.by == ClosedBy::unknown) first_ = ending;
  end_tells_ = false;
}

Ending Stream::close() {
  if (fd_ < 0) return {};
  const int fd = std::exchange(fd_, -1);
  // The end that was read is the peer's FIN. What is sent after it is answered with a RST, which leaves no state to
  // tell.
  if (easy_ == nullptr) {
    const Ending ending = close_socket(fd);
    return first_.by != ClosedBy::unknown ? first_ : ending;
  }
  // Asked before libcurl's close_notify: a peer that is gone answers that with a RST, too.
  const TcpState before = tcp_state(fd);
  if (first_.by == ClosedBy::unknown && before == TcpState::CLOSE_WAIT) first_.by = ClosedBy::peer;
  const std::optional<Ending> unix_socket = unix_ending(fd);
  const Ending ending = dialer_->close_tls(easy_.get());
  easy_.reset();
  share_.reset();
  if (first_.by != ClosedBy::unknown) return first_;
  if (unix_socket) return *unix_socket;
  // What the peer did since answers our close_notify, unless it was on its way already.
  if (before == TcpState::ESTABLISHED && ending.by == ClosedBy::peer) return {ClosedBy::local, true};
  return ending;
}

}  // namespace conntrace::transport
