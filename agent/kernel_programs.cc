// SPDX-License-Identifier: Apache-2.0
#include "agent/kernel_programs.h"

#include <bpf/bpf.h>
#include <fmt/format.h>
#include <sys/epoll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <set>

#include "agent/bpf_object.h"
#include "kernel.skel.h"

namespace conntrace::agent {
namespace {

struct FreeRing {
  void operator()(ring_buffer* ring) const noexcept { ring_buffer__free(ring); }
};

HookProbe probe_of(const Hook& hook, bool works, std::string error) {
  return {std::string(hook.section), works, std::move(error), std::string(hook.gives)};
}

/// BPF counts processes in the initial pid namespace; elsewhere every pid would be another process'.
Result<void> check_pid_namespace() {
  static constexpr ino_t kInitial = 0xEFFFFFFC;  // PROC_PID_INIT_INO, include/linux/proc_ns.h
  struct stat status {};
  if (stat("/proc/self/ns/pid", &status) == 0 && status.st_ino != kInitial) {
    return Failure(
        system_error(ENOTSUP,
                     "this process is in a pid namespace of its own, where pids differ from the kernel's; run "
                     "it on the host (docker run --pid=host, hostPID: true)"));
  }
  return {};
}

/// Runs an iterator over a process, or over all, to its end, and gives the records that it writes.
template <class Record, class Sink>
Result<void> run_iterator(bpf_program* program, std::optional<pid_t> pid, const Sink& sink) {
  bpf_iter_link_info which{};
  LIBBPF_OPTS(bpf_iter_attach_opts, options);
  if (pid) {
    which.task.pid = static_cast<__u32>(*pid);
    options.link_info = &which;
    options.link_info_len = sizeof which;
  }
  const Link link(bpf_program__attach_iter(program, &options));
  if (!link) {
    const int error = errno;
    if (error == ESRCH) return {};  // it ended meanwhile
    return Failure(system_error(error, "attach an iterator"));
  }
  const UniqueFd walk(bpf_iter_create(bpf_link__fd(link.get())));
  if (!walk.valid()) return Failure(system_error(errno, "start an iterator"));
  std::vector<std::byte> buffer(256 * sizeof(Record));
  std::size_t held = 0;
  for (;;) {
    const ssize_t got = read(walk.get(), buffer.data() + held, buffer.size() - held);
    if (got < 0 && (errno == EAGAIN || errno == EINTR)) continue;  // it has seen much, and written nothing
    if (got < 0) return Failure(system_error(errno, "read an iterator"));
    if (got == 0) return {};
    held += static_cast<std::size_t>(got);
    std::size_t at = 0;
    for (; held - at >= sizeof(Record); at += sizeof(Record)) {
      Record record;
      std::memcpy(&record, buffer.data() + at, sizeof record);
      sink(record);
    }
    held -= at;
    std::memmove(buffer.data(), buffer.data() + at, held);
  }
}

class Programs final : public KernelPrograms {
 public:
  Result<void> load(const ObserverOptions& options);
  Result<void> observe(pid_t pid) override;
  void observe_all(bool all) override {
    __atomic_store_n(&skeleton_->bss->observe_all, all ? 1u : 0u, __ATOMIC_RELAXED);
  }
  Result<void> forget(pid_t pid) override;
  Result<void> attach() override;
  Result<void> adopt(std::optional<pid_t> pid, const RecordSink& sink) override {
    return walk(CONNTRACE_WALK_ADOPT, pid, sink);
  }
  Result<void> describe(pid_t pid, const RecordSink& sink) override { return walk(CONNTRACE_WALK_DESCRIBE, pid, sink); }
  Result<void> count_open(std::optional<pid_t> pid, const OpenFilesSink& sink) override;
  Result<std::vector<FdTally>> take_tallies();
  Result<std::vector<FdTally>> classify_descriptors(pid_t pid) override;
  Result<std::uint64_t> consume(std::uint64_t at_most, const RecordSink& sink) override;
  Result<void> wait(int timeout_ms) override;
  Result<bool> mark(std::uint64_t number) override;
  Losses losses() const override;
  std::uint64_t written() const override;
  Result<std::vector<ProgramCost>> costs() const override;
  const std::vector<HookProbe>& missing() const override { return missing_; }

 private:
  static int on_record(void* context, void* data, std::size_t size) noexcept;
  std::vector<const Hook*> choose(const KernelBtf& btf, const ObserverOptions& options);
  Result<void> load_what_loads(const KernelBtf& btf, const ObserverOptions& options);
  [[nodiscard]] bool has(conntrace_program program) const;
  Result<void> walk(conntrace_walk what, std::optional<pid_t> pid, const RecordSink& sink);

  std::vector<const Hook*> chosen_;
  std::vector<HookProbe> missing_;
  Skeleton skeleton_;
  std::vector<Link> links_;
  std::unique_ptr<ring_buffer, FreeRing> ring_;
  const RecordSink* sink_ = nullptr;  // while consume() runs
  std::uint64_t given_ = 0;
  std::uint64_t at_most_ = 0;
};

/// The hooks that the options want and this kernel has; what it has not becomes missing.
std::vector<const Hook*> Programs::choose(const KernelBtf& btf, const ObserverOptions& options) {
  std::vector<const Hook*> chosen;
  std::set<Purpose> served;
  std::set<Purpose> wanting;
  for (const Hook& hook : hooks()) {
    if (!wanted(hook, options)) continue;
    if (only_one(hook.purpose)) {
      wanting.insert(hook.purpose);
      if (served.count(hook.purpose) != 0 || !btf.has(hook.section)) continue;
      // Whether a kernel lets a function be traced shows only when it is done.
      if (hook.section.substr(0, 2) == "fe" && !probe_hook(hook).works) continue;
      served.insert(hook.purpose);
    } else if (!btf.has(hook.section)) {
      missing_.push_back(probe_of(hook, false, "this kernel does not have it"));
      continue;
    }
    chosen.push_back(&hook);
  }
  for (const Hook& hook : hooks()) {
    if (wanting.count(hook.purpose) == 0 || served.count(hook.purpose) != 0) continue;
    missing_.push_back(probe_of(hook, false, "this kernel has neither it nor what would stand in for it"));
    served.insert(hook.purpose);
  }
  return chosen;
}

Result<void> Programs::load(const ObserverOptions& options) {
  if (auto checked = check_pid_namespace(); !checked) return checked;
  auto btf = KernelBtf::load();
  if (!btf) return Failure(std::move(btf).error());
  chosen_ = choose(*btf, options);
  if (auto skeleton = load_skeleton(*btf, chosen_, options)) {
    skeleton_ = std::move(*skeleton);
  } else if (auto loaded = load_what_loads(*btf, options); !loaded) {
    // One program that is refused (by this kernel's verifier, or for want of CAP_NET_ADMIN) must not take the others
    // with it; an essential one does.
    return loaded;
  }
  ring_.reset(ring_buffer__new(bpf_map__fd(skeleton_->maps.ring), on_record, this, nullptr));
  if (!ring_) return Failure(system_error(errno, "map the ring buffer"));
  return {};
}

Result<void> Programs::load_what_loads(const KernelBtf& btf, const ObserverOptions& options) {
  std::vector<const Hook*> loadable;
  for (const Hook* hook : chosen_) {
    auto alone = load_skeleton(btf, {hook}, options);
    if (alone) {
      loadable.push_back(hook);
    } else if (hook->essential) {
      return Failure(std::move(alone).error().within(hook->section));
    } else {
      missing_.push_back(probe_of(*hook, false, alone.error().message()));
    }
  }
  auto skeleton = load_skeleton(btf, loadable, options);
  if (!skeleton) return Failure(std::move(skeleton).error());
  chosen_ = std::move(loadable);
  skeleton_ = std::move(*skeleton);
  return {};
}

Result<void> Programs::observe(pid_t pid) {
  const auto key = static_cast<std::uint32_t>(pid);
  const std::uint32_t parent = 0;
  const int error =
      bpf_map__update_elem(skeleton_->maps.observed, &key, sizeof key, &parent, sizeof parent, BPF_NOEXIST);
  if (error != 0 && error != -EEXIST) return Failure(system_error(-error, fmt::format("observe process {}", pid)));
  return {};
}

Result<void> Programs::forget(pid_t pid) {
  const auto key = static_cast<std::uint32_t>(pid);
  const int error = bpf_map__delete_elem(skeleton_->maps.observed, &key, sizeof key, 0);
  if (error != 0 && error != -ENOENT) return Failure(system_error(-error, fmt::format("forget process {}", pid)));
  return walk(CONNTRACE_WALK_FORGET, pid, {});
}

Result<void> Programs::attach() {
  UniqueFd cgroup;
  std::string no_cgroup;
  if (auto opened = open_cgroup2()) {
    cgroup = std::move(*opened);
  } else {
    no_cgroup = opened.error().message();
  }
  for (const Hook* hook : chosen_) {
    if (hook->purpose == Purpose::existing || hook->purpose == Purpose::census) continue;  // attached when it is run
    if (hook->purpose == Purpose::dns && !cgroup.valid()) {
      missing_.push_back(probe_of(*hook, false, no_cgroup));
      continue;
    }
    auto link = attach_hook(*skeleton_, *hook, cgroup);
    if (link) {
      links_.push_back(std::move(*link));
    } else if (hook->essential) {
      return Failure(std::move(link).error());
    } else {
      missing_.push_back(probe_of(*hook, false, link.error().message()));
    }
  }
  return {};
}

bool Programs::has(conntrace_program program) const {
  return std::any_of(chosen_.begin(), chosen_.end(), [program](const Hook* hook) { return hook->program == program; });
}

Result<void> Programs::walk(conntrace_walk what, std::optional<pid_t> pid, const RecordSink& sink) {
  if (!has(CONNTRACE_PROGRAM_existing_sockets)) return {};
  skeleton_->bss->walk = what;
  return run_iterator<conntrace_record>(
      skeleton_->progs.existing_sockets, pid,
      [&sink](const conntrace_record& record) { sink(std::as_bytes(std::span(&record, 1))); });
}

Result<void> Programs::count_open(std::optional<pid_t> pid, const OpenFilesSink& sink) {
  if (!has(CONNTRACE_PROGRAM_count_open)) return Failure(system_error(ENOSYS, "iter/task"));
  return run_iterator<conntrace_open_files>(skeleton_->progs.count_open, pid, sink);
}

Result<std::vector<FdTally>> Programs::classify_descriptors(pid_t pid) {
  if (!has(CONNTRACE_PROGRAM_classify_descriptors)) return Failure(system_error(ENOSYS, "iter/task_file"));
  // Of a walk that failed something may be left.
  if (auto emptied = take_tallies(); !emptied) return emptied;
  skeleton_->bss->unclassified = 0;
  auto walked = run_iterator<char>(skeleton_->progs.classify_descriptors, pid, [](char) {});  // it writes none
  if (!walked) return Failure(std::move(walked).error());
  auto tallies = take_tallies();
  if (skeleton_->bss->unclassified != 0) return Failure(system_error(ENOSPC, "classify descriptors"));
  return tallies;
}

Result<std::vector<FdTally>> Programs::take_tallies() {
  std::vector<FdTally> tallies;
  const int map = bpf_map__fd(skeleton_->maps.fd_classes);
  std::array<conntrace_fd_class, 256> what;
  std::array<std::uint64_t, 256> counts;
  for (int error = 0; error == 0;) {
    std::uint64_t position = 0;
    auto got = static_cast<__u32>(what.size());
    error = bpf_map_lookup_and_delete_batch(map, nullptr, &position, what.data(), counts.data(), &got, nullptr);
    if (error != 0 && error != -ENOENT) return Failure(system_error(-error, "read the census"));
    for (__u32 i = 0; i < got; ++i) tallies.push_back({what[i], counts[i]});
  }
  return tallies;
}

int Programs::on_record(void* context, void* data, std::size_t size) noexcept {
  auto& self = *static_cast<Programs*>(context);
  (*self.sink_)({static_cast<const std::byte*>(data), size});
  return ++self.given_ >= self.at_most_ ? -ENOBUFS : 0;
}

Result<std::uint64_t> Programs::consume(std::uint64_t at_most, const RecordSink& sink) {
  sink_ = &sink;
  given_ = 0;
  at_most_ = at_most;
  const int error = ring_buffer__consume(ring_.get());
  sink_ = nullptr;
  if (error < 0 && error != -ENOBUFS) return Failure(system_error(-error, "read the ring buffer"));
  return given_;
}

Result<void> Programs::wait(int timeout_ms) {
  // epoll directly: ring_buffer__poll would consume, without a bound.
  epoll_event event{};
  const int ready = epoll_wait(ring_buffer__epoll_fd(ring_.get()), &event, 1, timeout_ms);
  if (ready < 0 && errno != EINTR) return Failure(system_error(errno, "wait for the ring buffer"));
  return {};
}

Result<bool> Programs::mark(std::uint64_t number) {
  LIBBPF_OPTS(bpf_test_run_opts, options, .ctx_in = &number, .ctx_size_in = sizeof number);
  const int error = bpf_prog_test_run_opts(bpf_program__fd(skeleton_->progs.ring_barrier), &options);
  if (error != 0) return Failure(system_error(-error, "run the ring barrier"));
  return options.retval == 0;
}

Result<std::vector<ProgramCost>> Programs::costs() const {
  std::vector<ProgramCost> costs;
  for (const Hook* hook : chosen_) {
    const int program = bpf_program__fd(program_of(*skeleton_, *hook));
    bpf_prog_info info{};
    __u32 size = sizeof info;
    if (const int error = bpf_obj_get_info_by_fd(program, &info, &size)) {
      return Failure(system_error(-error, fmt::format("ask what {} has cost", hook->section)));
    }
    costs.push_back({std::string(hook->section), info.run_cnt, std::chrono::nanoseconds(info.run_time_ns)});
  }
  return costs;
}

std::uint64_t Programs::written() const {
  std::uint64_t sum = 0;
  for (const auto& of_cpu : skeleton_->bss->written) sum += __atomic_load_n(&of_cpu[0], __ATOMIC_RELAXED);
  return sum;
}

KernelPrograms::Losses Programs::losses() const {
  Losses losses{};
  for (std::size_t program = 0; program < losses.size(); ++program) {
    for (std::size_t why = 0; why < losses[program].size(); ++why) {
      losses[program][why] = __atomic_load_n(&skeleton_->bss->losses[program][why], __ATOMIC_RELAXED);
    }
  }
  return losses;
}

}  // namespace

Result<std::unique_ptr<KernelPrograms>> KernelPrograms::open(const ObserverOptions& options) {
  auto programs = std::make_unique<Programs>();
  if (auto loaded = programs->load(options); !loaded) return Failure(std::move(loaded).error());
  return programs;
}

HookProbe probe_hook(const Hook& hook) {
  auto btf = KernelBtf::load();
  if (!btf) return probe_of(hook, false, btf.error().message());
  if (!btf->has(hook.section)) return probe_of(hook, false, "this kernel does not have it");
  auto cgroup = open_cgroup2();
  if (!cgroup && hook.purpose == Purpose::dns) return probe_of(hook, false, cgroup.error().message());
  const UniqueFd none;
  auto skeleton = load_skeleton(*btf, {&hook}, ObserverOptions{.ring_bytes = 65536});
  if (!skeleton) return probe_of(hook, false, skeleton.error().message());
  auto link = attach_hook(**skeleton, hook, cgroup ? *cgroup : none);
  if (!link) return probe_of(hook, false, link.error().message());
  return probe_of(hook, true, {});
}

}  // namespace conntrace::agent
