// SPDX-License-Identifier: Apache-2.0
#include "record/tap_reader.h"

#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

#include "conntrace/clock.h"
#include "record/event_line.h"

namespace conntrace {
namespace {

/// Waiting lines of this size are sent at once.
constexpr std::size_t kManyBytes = 64 * 1024;

}  // namespace

void TapWakeup::signal(bool many) noexcept {
  bool tell = !any_.exchange(true);
  if (many) tell = !many_.exchange(true) || tell;
  const std::uint64_t one = 1;
  // It cannot fail but by overflow, and then it has been told.
  if (tell) (void)!::write(event_.get(), &one, sizeof(one));
}

bool TapWakeup::acknowledge_event() noexcept {
  std::uint64_t count = 0;
  (void)!::read(event_.get(), &count, sizeof(count));
  return many_.load();
}

void TapWakeup::acknowledge() noexcept {
  many_.store(false);
  any_.store(false);
}

TapReader::TapReader(UniqueFd socket, std::size_t buffer_bytes, std::shared_ptr<TapWakeup> wakeup,
                     const ProcessIdentity& process)
    : wakeup_(std::move(wakeup)), process_(process), socket_(std::move(socket)), queue_(buffer_bytes) {}

void TapReader::write(std::string_view lines, std::uint64_t records) {
  bool many = false;
  {
    const std::lock_guard lock(mutex_);
    if (ended_) return;
    queue_.push(lines, records);
    many = queue_.waiting() >= kManyBytes;
  }
  if (!blocked_) wakeup_->signal(many);
}

std::uint64_t TapReader::lost() const {
  const std::lock_guard lock(mutex_);
  return queue_.lost();
}

void TapReader::end(std::string_view line) {
  {
    const std::lock_guard lock(mutex_);
    if (ended_) return;
    ended_ = true;
    last_line_ = line;
  }
  wakeup_->signal(false);
}

TapReader::Sent TapReader::send() {
  blocked_ = false;
  // Two refills, so that one reader cannot keep the thread from the others.
  for (int refills = 0;; ++refills) {
    if (const Sent sent = send_outgoing(); sent != Sent::all) return sent;
    if (refills == 2) return Sent::more;
    if (!refill()) return Sent::all;
  }
}

TapReader::Sent TapReader::send_outgoing() {
  while (sent_ < outgoing_.size()) {
    const ssize_t sent =
        ::send(socket_.get(), outgoing_.data() + sent_, outgoing_.size() - sent_, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent >= 0) {
      sent_ += static_cast<std::size_t>(sent);
    } else if (errno == EAGAIN) {
      blocked_ = true;
      return Sent::blocked;
    } else if (errno != EINTR) {
      return Sent::broken;
    }
  }
  return Sent::all;
}

bool TapReader::refill() {
  {
    const std::lock_guard lock(mutex_);
    queue_.done();
    queue_.take(batch_);
    if (queue_.pending() && batch_.lines.empty() && batch_.lost_before == 0)
      queue_.take(batch_);  // a loss, nothing else
    if (batch_.lines.empty() && batch_.lost_before == 0) batch_.lines = std::exchange(last_line_, {});
  }
  sent_ = 0;
  outgoing_.clear();
  if (batch_.lost_before > 0) {
    LineBuffer buffer;
    const EventHeader header = process_.header(static_cast<std::uint64_t>(mono_now().count()));
    outgoing_ = format_line<EventKind::gap>(
        header, {.lost = batch_.lost_before, .reason = GapReason::slow_reader, .where = "tap"}, buffer);
    outgoing_ += batch_.lines;
  } else {
    outgoing_.swap(batch_.lines);
  }
  return !outgoing_.empty();
}

void TapReader::close() {
  retire();
  {
    const std::lock_guard lock(mutex_);
    ended_ = true;
  }
  outgoing_.clear();
  socket_.reset();
}

}  // namespace conntrace
