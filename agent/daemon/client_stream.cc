// SPDX-License-Identifier: Apache-2.0
#include "agent/daemon/client_stream.h"

#include <sys/socket.h>

#include <cerrno>
#include <utility>

#include "conntrace/clock.h"
#include "conntrace/event_json.h"

namespace conntrace::agent {

ClientStream::ClientStream(UniqueFd socket, std::size_t buffer_bytes)
    : socket_(std::move(socket)), queue_(buffer_bytes) {}

void ClientStream::add(std::string_view line) {
  if (!ended_ && queue_.push(line, 1)) ++records_;
}

void ClientStream::add_surely(std::string_view line) {
  if (!ended_ && queue_.push_surely(line, 1)) ++records_;
}

void ClientStream::add_gap(std::string_view line, std::uint64_t lost) {
  if (!ended_) queue_.push(line, lost);
}

void ClientStream::end(std::string_view line) {
  if (std::exchange(ended_, true)) return;
  last_line_ = line;
}

ClientStream::Sent ClientStream::send() {
  for (;;) {
    const std::size_t all = gap_.size() + batch_.lines.size();
    while (sent_ < all) {
      const std::string_view text = sent_ < gap_.size() ? std::string_view(gap_).substr(sent_)
                                                        : std::string_view(batch_.lines).substr(sent_ - gap_.size());
      const ssize_t sent = ::send(socket_.get(), text.data(), text.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
      if (sent >= 0) {
        sent_ += static_cast<std::size_t>(sent);
      } else if (errno == EAGAIN) {
        return Sent::blocked;
      } else if (errno != EINTR) {
        return Sent::broken;
      }
    }
    if (!refill()) return Sent::all;
  }
}

bool ClientStream::refill() {
  queue_.done();
  queue_.take(batch_);
  if (queue_.pending() && batch_.lines.empty() && batch_.lost_before == 0) queue_.take(batch_);  // a loss alone
  sent_ = 0;
  gap_.clear();
  if (batch_.lost_before > 0) {
    const EventHeader header{.mono_ns = static_cast<std::uint64_t>(mono_now().count()), .source = Source::kernel};
    append_json_line(
        make_event<EventKind::gap>(
            header, {.lost = batch_.lost_before, .reason = GapReason::slow_reader, .where = "conntrace-agent"}),
        gap_);
  }
  if (gap_.empty() && batch_.lines.empty()) batch_.lines = std::exchange(last_line_, {});
  return !gap_.empty() || !batch_.lines.empty();
}

}  // namespace conntrace::agent
