// SPDX-License-Identifier: Apache-2.0
#include "conntrace/recorder.h"

#include <algorithm>
#include <atomic>
#include <mutex>
#include <optional>
#include <utility>
#include <vector>

#include "conntrace/clock.h"
#include "record/event_line.h"
#include "record/every_hook.h"
#include "record/process_identity.h"

namespace conntrace {

/// Streams are few and change rarely; one mutex guards them. A hook that finds none does not come to it.
class Recorder::Impl {
 public:
  ~Impl() {
    for (Stream& stream : streams_) end(stream);
  }

  [[nodiscard]] const std::atomic<bool>& recording() const { return recording_; }

  template <EventKind kind>
  void record(const HookContext& context, const PayloadOf<kind>& info) {
    LineBuffer buffer;
    const std::string_view line = format_line<kind>(header(context), info, buffer);
    const std::lock_guard lock(mutex_);
    for (Stream& stream : streams_) {
      if (stream.live) stream.write(line);
    }
  }

  template <EventKind kind>
  void record_to(const Sink* sink, const HookContext& context, const PayloadOf<kind>& info) {
    LineBuffer buffer;
    const std::string_view line = format_line<kind>(header(context), info, buffer);
    const std::lock_guard lock(mutex_);
    if (const auto stream = find(sink); stream != streams_.end()) stream->write(line);
  }

  void begin(std::shared_ptr<Sink> sink, bool live) {
    LineBuffer buffer;
    const std::lock_guard lock(mutex_);
    auto stream = find(sink.get());
    if (stream == streams_.end()) {
      stream = streams_.insert(stream, Stream{std::move(sink)});
      stream->write(start_line(buffer));
    }
    stream->live = stream->live || live;
    update_recording();
  }

  void remove(const Sink* sink) {
    std::optional<Stream> removed;
    {
      const std::lock_guard lock(mutex_);
      const auto stream = find(sink);
      if (stream == streams_.end()) return;
      removed = std::move(*stream);
      streams_.erase(stream);
      update_recording();
    }
    end(*removed);
  }

 private:
  struct Stream {
    std::shared_ptr<Sink> sink;
    bool live = false;          ///< gets all records, not only those of its trace_to
    std::uint64_t written = 0;  ///< given to the sink, which may have lost some

    void write(std::string_view line) {
      ++written;
      sink->write(line, 1);
    }
  };

  [[nodiscard]] std::vector<Stream>::iterator find(const Sink* sink) {
    return std::find_if(streams_.begin(), streams_.end(), [&](const Stream& s) { return s.sink.get() == sink; });
  }

  void update_recording() {
    recording_.store(std::any_of(streams_.begin(), streams_.end(), [](const Stream& s) { return s.live; }),
                     std::memory_order_relaxed);
  }

  [[nodiscard]] EventHeader header(const HookContext& context) const {
    EventHeader header = process_.header(static_cast<std::uint64_t>(context.mono.count()));
    header.request = context.request;
    header.attempt = context.attempt;
    header.connection = context.connection;
    header.cookie = context.cookie;
    header.netns = context.netns;
    return header;
  }

  [[nodiscard]] std::string_view start_line(LineBuffer& buffer) const {
    const ClockPair now = clock_pair_now();
    EventHeader header = process_.header(static_cast<std::uint64_t>(now.mono.count()));
    header.netns = process_.netns;
    const std::string wall_time = rfc3339(now.wall);
    const StreamStartInfo info{.schema = "conntrace.event/1",
                               .wall_time = wall_time,
                               .boot_id = process_.boot_id,
                               .host = process_.host,
                               .comm = process_.comm,
                               .exe = process_.exe,
                               .cgroup = process_.cgroup,
                               .program = "libconntrace " CONNTRACE_VERSION};
    return format_line<EventKind::stream_start>(header, info, buffer);
  }

  /// Of a stream that no hook can reach any more.
  void end(const Stream& stream) const {
    (void)stream.sink->flush();  // afterwards the sink knows what it lost
    const std::uint64_t lost = stream.sink->lost();
    const StreamEndInfo info{.records = stream.written + 1 - std::min(lost, stream.written), .lost = lost};
    LineBuffer buffer;
    const EventHeader header = process_.header(static_cast<std::uint64_t>(mono_now().count()));
    stream.sink->end(format_line<EventKind::stream_end>(header, info, buffer));
  }

  const ProcessIdentity process_ = read_process_identity();
  std::atomic<bool> recording_ = false;
  std::mutex mutex_;
  std::vector<Stream> streams_;
};

namespace {

/// Headers are not recorded.
template <class Write>
std::shared_ptr<ClientTrace> make_trace(const Write& write) {
  return every_hook<EventKind::wrote_header_field>(write);
}

}  // namespace

Recorder::Recorder() : impl_(std::make_shared<Impl>()) {}
Recorder::~Recorder() = default;

std::shared_ptr<const ClientTrace> Recorder::trace() {
  auto trace = make_trace([impl = impl_]<EventKind kind>(const HookContext& context, const PayloadOf<kind>& info) {
    if (impl->recording().load(std::memory_order_relaxed)) impl->record<kind>(context, info);
  });
  trace->listening = {impl_, &impl_->recording()};
  return trace;
}

std::shared_ptr<const ClientTrace> Recorder::trace_to(std::shared_ptr<Sink> sink) {
  impl_->begin(sink, false);
  return make_trace(
      [impl = impl_, sink = std::move(sink)]<EventKind kind>(const HookContext& context, const PayloadOf<kind>& info) {
        impl->record_to<kind>(sink.get(), context, info);
      });
}

void Recorder::add_sink(std::shared_ptr<Sink> sink) { impl_->begin(std::move(sink), true); }
void Recorder::remove_sink(const std::shared_ptr<Sink>& sink) { impl_->remove(sink.get()); }

}  // namespace conntrace
