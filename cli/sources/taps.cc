// SPDX-License-Identifier: Apache-2.0
#include "sources/taps.h"

#include <utility>

#include "say.h"

namespace conntrace::cli {

bool Taps::add(const Process& process) {
  const Attempt result = attempt(process);
  if (result == Attempt::later) waiting_.insert_or_assign(process.pid, process);
  return result == Attempt::joined;
}

Taps::Attempt Taps::attempt(const Process& process) {
  auto tap = TapSource::connect(process, sink_);
  if (tap) {
    taps_.push_back(std::move(*tap));
    ++joined_;
    return Attempt::joined;
  }
  const std::error_code code = tap.error().code;
  if (code == std::errc::operation_not_permitted) {
    complain("pid {} ({}): another process listens where its tap would be; not joined", process.pid, process.comm);
    return Attempt::never;
  }
  return code == std::errc::permission_denied ? Attempt::never : Attempt::later;
}

void Taps::retry(MonoTime now) {
  if (now < next_try_) return;
  next_try_ = now + kRetry;
  for (auto waiting = waiting_.begin(); waiting != waiting_.end();) {
    const Attempt result = attempt(waiting->second);
    if (result == Attempt::joined) {
      complain("pid {} ({}): its tap appeared; requests are shown from here on", waiting->first, waiting->second.comm);
    }
    waiting = result == Attempt::later ? std::next(waiting) : waiting_.erase(waiting);
  }
}

std::vector<int> Taps::fds() const {
  std::vector<int> fds;
  for (const auto& tap : taps_) fds.push_back(tap->fd());
  return fds;
}

bool Taps::read() {
  bool drained = true;
  for (auto tap = taps_.begin(); tap != taps_.end();) {
    const auto progress = (*tap)->read();
    if (!progress) complain("{}; its tap is not read any more", progress.error().message());
    if (progress && *progress == TapSource::Progress::more) drained = false;
    // A tap that was closed while its process goes on may be opened again.
    if ((*tap)->ended_in_order()) waiting_.insert_or_assign((*tap)->process().pid, (*tap)->process());
    const bool over = !progress || *progress == TapSource::Progress::ended;
    tap = over ? taps_.erase(tap) : std::next(tap);
  }
  return drained;
}

}  // namespace conntrace::cli
