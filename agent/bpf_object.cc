// SPDX-License-Identifier: Apache-2.0
#include "agent/bpf_object.h"

#include <bpf/bpf.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <mntent.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdarg>
#include <cstdio>

#include "agent/privileges.h"
#include "kernel.skel.h"

namespace conntrace::agent {
namespace {

/// The first warning of libbpf since it was cleared: it names the program and the step that failed.
thread_local std::string first_warning;

int keep_warning(libbpf_print_level level, const char* format, va_list arguments) {
  if (level != LIBBPF_WARN || !first_warning.empty()) return 0;
  char line[256];
  const int length = vsnprintf(line, sizeof line, format, arguments);
  if (length > 0) first_warning.assign(line, std::min<std::size_t>(static_cast<std::size_t>(length), sizeof line - 1));
  while (!first_warning.empty() && first_warning.back() == '\n') first_warning.pop_back();
  return 0;
}

Error bpf_error(int error_number, std::string context) {
  if (error_number == EPERM || error_number == EACCES) {
    // The verifier's refusals are EACCES too; those are not about privileges.
    if (error_number == EPERM || !missing_capabilities().empty()) {
      return system_error(EPERM, fmt::format("{} ({})", context, explain_refusal()));
    }
  }
  if (!first_warning.empty()) context += fmt::format(" ({})", first_warning);
  return system_error(error_number, std::move(context));
}

void set_knobs(conntrace_bpf& skeleton, const KernelBtf& btf, const ObserverOptions& options) {
  auto& knobs = *skeleton.rodata;
  skeleton.bss->observe_all = options.selection.all;
  knobs.follow_children = options.selection.follow_children;
  knobs.ring_wakeup_bytes = options.ring_bytes / 2;
  knobs.pause_ns = options.io_pause_ns;
  knobs.connect_syscall = SYS_connect;
  knobs.accept_syscall = SYS_accept;
  knobs.accept4_syscall = SYS_accept4;
  knobs.reset_says_reason = btf.tracepoint_arguments("tcp_send_reset").value_or(0) >= 3;
  knobs.retransmit_says_error = btf.tracepoint_arguments("tcp_retransmit_skb").value_or(0) >= 3;
}

}  // namespace

bpf_program* program_of(conntrace_bpf& skeleton, const Hook& hook) {
  return bpf_object__find_program_by_name(skeleton.obj, std::string(hook.program_name).c_str());
}

void DestroySkeleton::operator()(conntrace_bpf* skeleton) const noexcept { conntrace_bpf__destroy(skeleton); }

Result<Skeleton> load_skeleton(const KernelBtf& btf, const std::vector<const Hook*>& chosen,
                               const ObserverOptions& options) {
  libbpf_set_print(keep_warning);
  first_warning.clear();
  Skeleton skeleton(conntrace_bpf__open());
  if (!skeleton) return Failure(bpf_error(errno, "open the BPF object"));
  for (const Hook& hook : hooks()) {
    const bool wanted = std::find(chosen.begin(), chosen.end(), &hook) != chosen.end();
    bpf_program__set_autoload(program_of(*skeleton, hook), wanted);
  }
  set_knobs(*skeleton, btf, options);
  bpf_map__set_max_entries(skeleton->maps.ring, options.ring_bytes);
  if (const int error = conntrace_bpf__load(skeleton.get())) {
    return Failure(bpf_error(-error, "load the BPF programs"));
  }
  return skeleton;
}

Result<Link> attach_hook(conntrace_bpf& skeleton, const Hook& hook, const UniqueFd& cgroup) {
  first_warning.clear();
  bpf_program* const program = program_of(skeleton, hook);
  Link link(hook.purpose == Purpose::dns ? bpf_program__attach_cgroup(program, cgroup.get())
                                         : bpf_program__attach(program));
  if (!link) return Failure(bpf_error(errno, fmt::format("attach {}", hook.section)));
  return link;
}

Result<UniqueFd> open_cgroup2() {
  const std::unique_ptr<FILE, int (*)(FILE*)> mounts(setmntent("/proc/mounts", "re"), endmntent);
  if (!mounts) return Failure(system_error(errno, "/proc/mounts"));
  mntent entry{};
  char buffer[4096];
  while (getmntent_r(mounts.get(), &entry, buffer, sizeof buffer) != nullptr) {
    if (std::string_view(entry.mnt_type) != "cgroup2") continue;
    UniqueFd root(::open(entry.mnt_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!root.valid()) return Failure(system_error(errno, entry.mnt_dir));
    return root;
  }
  return Failure(system_error(ENOENT, "no cgroup2 in /proc/mounts; mount -t cgroup2 none DIRECTORY"));
}

}  // namespace conntrace::agent
