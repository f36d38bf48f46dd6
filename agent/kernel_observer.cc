// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <map>
#include <set>
#include <utility>

#include "agent/kernel_programs.h"
#include "agent/kernel_reader.h"
#include "agent/observed_processes.h"
#include "agent/observer.h"
#include "conntrace/clock.h"

namespace conntrace::agent {
namespace {

constexpr int kPollStepMs = 10;                 // how late an event comes when the ring is not half full
constexpr std::uint64_t kRecordsAtOnce = 8192;  // then the descriptors may be counted again
constexpr std::uint64_t kMillisecond = 1'000'000;

std::uint64_t now_ns() { return static_cast<std::uint64_t>(mono_now().count()); }

GapReason reason_of(conntrace_loss why) {
  switch (why) {
    case CONNTRACE_LOSS_RING_FULL: return GapReason::ring_full;
    case CONNTRACE_LOSS_MAP_FULL: return GapReason::map_full;
    case CONNTRACE_LOSS_UNREADABLE:
    case CONNTRACE_LOSS_COUNT: break;
  }
  return GapReason::malformed;
}

class KernelObserver final : public Observer {
 public:
  KernelObserver(const ObserverOptions& options, Sink sink, std::unique_ptr<KernelPrograms> programs);

  Result<void> start();
  Result<void> add_process(pid_t pid) override;
  Result<void> remove_process(pid_t pid, std::uint64_t start_time_ns) override;
  Result<void> observe_all(bool all) override;
  Result<void> describe_process(pid_t pid, const Sink& sink) override;
  Result<std::uint64_t> poll(int timeout_ms) override;
  Result<void> drain() override;
  ObserverStats stats() const override;
  Result<std::vector<ProgramCost>> costs() const override { return programs_->costs(); }
  const std::vector<HookProbe>& missing() const override { return programs_->missing(); }

 private:
  void deliver(const Event& event);
  void report_gaps();
  void count_descriptors();
  std::vector<LossCounter> losses() const;

  const ObserverOptions options_;
  const Sink sink_;
  const std::unique_ptr<KernelPrograms> programs_;
  ObservedProcesses processes_;
  KernelReader reader_;
  const KernelPrograms::RecordSink read_record_;
  std::uint64_t delivered_ = 0;
  std::uint64_t next_census_ns_ = 0;
  std::uint64_t barriers_ = 0;
  std::map<std::pair<std::string, GapReason>, std::uint64_t> reported_;
  std::uint64_t missing_ = 0;  ///< numbers of records that did not come, by the last drain()
};

KernelObserver::KernelObserver(const ObserverOptions& options, Sink sink, std::unique_ptr<KernelPrograms> programs)
    : options_(options),
      sink_(std::move(sink)),
      programs_(std::move(programs)),
      processes_([this](const Event& event) { deliver(event); },
                 {.count = [this](const auto& pid, const auto& each) { return programs_->count_open(pid, each); },
                  .classify = [this](pid_t pid) { return programs_->classify_descriptors(pid); }}),
      reader_([this](const Event& event) { deliver(event); },
              [this](const conntrace_record& record) { processes_.read(record); }),
      read_record_([this](std::span<const std::byte> record) { reader_.read(record); }) {}

void KernelObserver::deliver(const Event& event) {
  ++delivered_;
  sink_(event);
  if (options_.census_interval_ms == 0) return;
  const auto* hit = get_if<EventKind::fd_limit_hit>(event);
  if (hit != nullptr && hit->error_number != EADDRNOTAVAIL) {
    processes_.census_at_limit(static_cast<pid_t>(event.header.pid), event.header.mono_ns);
  }
}

Result<void> KernelObserver::start() {
  std::vector<ProcessInfo> selected;
  for (const pid_t pid : options_.selection.all ? all_processes() : options_.selection.pids) {
    auto info = read_process_info(pid);
    if (!info && options_.selection.all) continue;  // ended meanwhile
    if (!info) return Failure(std::move(info).error());
    if (auto observed = programs_->observe(pid); !observed) return observed;
    selected.push_back(std::move(*info));
  }
  if (auto attached = programs_->attach(); !attached) return attached;
  for (ProcessInfo& info : selected) processes_.add_existing(std::move(info));
  next_census_ns_ = now_ns();
  if (options_.selection.all) return programs_->adopt(std::nullopt, read_record_);
  for (const pid_t pid : options_.selection.pids) {
    if (auto adopted = programs_->adopt(pid, read_record_); !adopted) return adopted;
  }
  return {};
}

Result<void> KernelObserver::add_process(pid_t pid) {
  // First of all: whatever it executes from here on is told.
  if (auto observed = programs_->observe(pid); !observed) return observed;
  auto info = read_process_info(pid);
  if (!info) {
    [[maybe_unused]] const auto forgotten = programs_->forget(pid);
    return Failure(std::move(info).error());
  }
  if (processes_.contains(*info)) return {};
  processes_.add_existing(std::move(*info));
  return programs_->adopt(pid, read_record_);
}

Result<void> KernelObserver::remove_process(pid_t pid, std::uint64_t start_time_ns) {
  if (!processes_.contains({.pid = pid, .start_time_ns = start_time_ns})) return {};
  processes_.remove(pid, start_time_ns);
  return programs_->forget(pid);
}

Result<void> KernelObserver::observe_all(bool all) {
  programs_->observe_all(all);
  if (!all) return {};
  for (const pid_t pid : all_processes()) {
    auto info = read_process_info(pid);
    if (!info || processes_.contains(*info)) continue;
    if (auto observed = programs_->observe(pid); !observed) return observed;
    processes_.add_existing(std::move(*info));
  }
  return programs_->adopt(std::nullopt, read_record_);
}

Result<void> KernelObserver::describe_process(pid_t pid, const Sink& sink) {
  processes_.introduce(pid, sink);
  KernelReader reader(sink, [](const conntrace_record&) {});
  return programs_->describe(pid, [&reader](std::span<const std::byte> record) { reader.read(record); });
}

Result<std::uint64_t> KernelObserver::poll(int timeout_ms) {
  const std::uint64_t before = delivered_;
  const std::uint64_t begin = now_ns();
  for (;;) {
    if (auto consumed = programs_->consume(kRecordsAtOnce, read_record_); !consumed) return consumed;
    count_descriptors();
    report_gaps();
    if (delivered_ != before) return delivered_ - before;
    int step = kPollStepMs;
    if (timeout_ms >= 0) {
      const auto waited = static_cast<int>((now_ns() - begin) / kMillisecond);
      if (waited >= timeout_ms) return 0;
      step = std::min(step, timeout_ms - waited);
    }
    if (auto waited = programs_->wait(step); !waited) return Failure(std::move(waited).error());
  }
}

Result<void> KernelObserver::drain() {
  const std::uint64_t number = ++barriers_;
  bool marked = false;
  while (reader_.barrier() != number) {
    if (!marked) {
      auto placed = programs_->mark(number);
      if (!placed) return Failure(std::move(placed).error());
      marked = *placed;
    }
    if (auto consumed = programs_->consume(kRecordsAtOnce, read_record_); !consumed) {
      return Failure(std::move(consumed).error());
    }
  }
  missing_ = reader_.missing();
  report_gaps();
  return {};
}

void KernelObserver::count_descriptors() {
  if (options_.census_interval_ms == 0) return;
  const std::uint64_t now = now_ns();
  if (now < next_census_ns_) return;
  next_census_ns_ = now + options_.census_interval_ms * kMillisecond;
  processes_.census(now, options_.census_interval_ms * kMillisecond);
}

std::vector<LossCounter> KernelObserver::losses() const {
  std::vector<LossCounter> counters;
  const auto add = [&counters](std::string_view where, GapReason reason, std::uint64_t count) {
    if (count != 0) counters.push_back({std::string(where), reason, count});
  };
  const auto kernel = programs_->losses();
  for (std::size_t program = 0; program < kernel.size(); ++program) {
    for (std::size_t why = 0; why < kernel[program].size(); ++why) {
      add(section_of(static_cast<conntrace_program>(program)), reason_of(static_cast<conntrace_loss>(why)),
          kernel[program][why]);
    }
  }
  add("ring buffer", GapReason::malformed, reader_.malformed_records());
  add("ring buffer", GapReason::source_lost, missing_);
  add("dns", GapReason::malformed, reader_.malformed_dns());
  return counters;
}

void KernelObserver::report_gaps() {
  for (const LossCounter& counter : losses()) {
    auto& reported = reported_[{counter.where, counter.reason}];
    if (counter.count == reported) continue;
    const std::uint64_t lost = counter.count - std::exchange(reported, counter.count);
    const EventHeader header{.mono_ns = now_ns(), .source = Source::kernel};
    deliver(make_event<EventKind::gap>(header, {.lost = lost, .reason = counter.reason, .where = counter.where}));
  }
}

ObserverStats KernelObserver::stats() const {
  return {.delivered = delivered_, .written = programs_->written(), .read = reader_.from_ring(), .losses = losses()};
}

Result<void> check(const ObserverOptions& options) {
  const auto page = static_cast<std::uint32_t>(sysconf(_SC_PAGESIZE));
  if (options.ring_bytes < page || (options.ring_bytes & (options.ring_bytes - 1)) != 0) {
    return Failure(system_error(
        EINVAL, fmt::format("ring_bytes is {}: not a power of two of at least {}", options.ring_bytes, page)));
  }
  return {};
}

}  // namespace

Result<std::unique_ptr<Observer>> Observer::open(const ObserverOptions& options, Sink sink) {
  if (auto checked = check(options); !checked) return Failure(std::move(checked).error());
  auto programs = KernelPrograms::open(options);
  if (!programs) return Failure(std::move(programs).error());
  auto observer = std::make_unique<KernelObserver>(options, std::move(sink), std::move(*programs));
  if (auto started = observer->start(); !started) return Failure(std::move(started).error());
  return observer;
}

std::vector<HookProbe> probe_hooks() {
  std::vector<HookProbe> probes;
  std::map<Purpose, std::size_t> stand_ins;  // where the purpose's probe is in probes
  for (const Hook& hook : hooks()) {
    const auto served = stand_ins.find(hook.purpose);
    if (served == stand_ins.end()) {
      if (only_one(hook.purpose)) stand_ins.emplace(hook.purpose, probes.size());
      probes.push_back(probe_hook(hook));
    } else if (!probes[served->second].works) {
      if (auto probe = probe_hook(hook); probe.works) probes[served->second] = std::move(probe);
    }
  }
  return probes;
}

bool built_with_bpf() noexcept { return true; }

}  // namespace conntrace::agent
