// SPDX-License-Identifier: Apache-2.0
#include "sources/stream.h"

#include <unistd.h>

#include <array>
#include <fstream>
#include <string>
#include <utility>

#include "conntrace/clock.h"

namespace conntrace::cli {

Stream::Stream(Source source, EventSink sink) : source_(source), sink_(std::move(sink)) {
  const ClockPair now = clock_pair_now();
  const std::string wall_time = rfc3339(now.wall);
  std::string boot_id;
  std::getline(std::ifstream("/proc/sys/kernel/random/boot_id"), boot_id);
  std::array<char, 256> host{};
  ::gethostname(host.data(), host.size() - 1);

  EventHeader header;
  header.mono_ns = static_cast<std::uint64_t>(now.mono.count());
  header.source = source_;
  StreamStartInfo info;
  info.schema = "conntrace.event/1";
  info.wall_time = wall_time;
  info.boot_id = boot_id;
  info.host = host.data();
  info.program = "conntrace " CONNTRACE_VERSION;
  sink_(make_event<EventKind::stream_start>(header, info));
  ++records_;
}

void Stream::add(const Event& event) {
  sink_(event);
  ++records_;
  ++events_;
}

void Stream::end(std::uint64_t lost) {
  if (std::exchange(ended_, true)) return;
  EventHeader header;
  header.mono_ns = static_cast<std::uint64_t>(mono_now().count());
  header.source = source_;
  sink_(make_event<EventKind::stream_end>(header, {.records = ++records_, .lost = lost}));
}

}  // namespace conntrace::cli
