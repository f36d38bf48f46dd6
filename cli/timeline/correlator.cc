// SPDX-License-Identifier: Apache-2.0
#include "timeline/correlator.h"

#include <map>
#include <string>
#include <vector>

#include "timeline/engine.h"
#include "timeline/merge_window.h"

namespace conntrace::cli {
namespace {

/// One boot: its clock orders its records, so it has its own window.
struct Boot {
  Boot(std::string boot_id, std::uint64_t window_ns, const TimelineSink& sink, CorrelatorStats& stats)
      : window(window_ns), engine(std::move(boot_id), window_ns, sink, stats) {}
  MergeWindow window;
  Engine engine;
};

}  // namespace

class Correlator::Impl {
 public:
  Impl(CorrelatorOptions options, TimelineSink sink)
      : window_ns_(static_cast<std::uint64_t>(options.window.count())), sink_(std::move(sink)) {}

  void add(const Event& event) {
    ++stats_.records;
    if (!event.known()) {
      ++stats_.unknown;
      return;
    }
    Boot& boot = boot_of(event);
    if (boot.window.is_late(event)) {
      ++stats_.late;
      boot.engine.take(event);
      return;
    }
    boot.window.push(event);
    release(boot);
  }

  void advance(std::uint64_t mono_ns) {
    if (boots_.empty()) return;
    Boot& boot = *boots_.back();
    boot.window.advance(mono_ns);
    release(boot);
    boot.engine.give_out(boot.window.watermark_ns());
  }

  void finish() {
    for (const auto& boot : boots_) {
      Event event;
      while (boot->window.pop_any(event)) boot->engine.take(event);
      boot->engine.finish();
    }
  }

  CorrelatorStats stats() const { return stats_; }

 private:
  static void release(Boot& boot) {
    Event event;
    while (boot.window.pop_ready(event)) boot.engine.take(event);
  }

  /// Records do not say their boot; the last stream_start of their source and process does.
  Boot& boot_of(const Event& event) {
    const auto& header = event.header;
    if (const auto* start = get_if<EventKind::stream_start>(event)) {
      Boot* boot = &boot_named(std::string(start->boot_id));
      routes_[{header.source, header.pid}] = boot;
      return *boot;
    }
    for (const std::uint32_t pid : {header.pid, 0u}) {
      if (const auto found = routes_.find({header.source, pid}); found != routes_.end()) return *found->second;
    }
    return boots_.empty() ? boot_named("") : *boots_.back();
  }

  Boot& boot_named(const std::string& boot_id) {
    for (const auto& boot : boots_) {
      if (boot->engine.boot_id() == boot_id) return *boot;
    }
    // Records that came before the first stream_start belong to it.
    if (boots_.size() == 1 && boots_.front()->engine.boot_id().empty()) {
      boots_.front()->engine.set_boot_id(boot_id);
      return *boots_.front();
    }
    boots_.push_back(std::make_unique<Boot>(boot_id, window_ns_, sink_, stats_));
    return *boots_.back();
  }

  std::uint64_t window_ns_;
  TimelineSink sink_;
  CorrelatorStats stats_;
  std::vector<std::unique_ptr<Boot>> boots_;
  std::map<std::pair<Source, std::uint32_t>, Boot*> routes_;
};

Correlator::Correlator(CorrelatorOptions options, TimelineSink sink)
    : impl_(std::make_unique<Impl>(options, std::move(sink))) {}
Correlator::~Correlator() = default;
void Correlator::add(const Event& event) { impl_->add(event); }
void Correlator::advance(std::uint64_t mono_ns) { impl_->advance(mono_ns); }
void Correlator::finish() { impl_->finish(); }
CorrelatorStats Correlator::stats() const { return impl_->stats(); }

}  // namespace conntrace::cli
