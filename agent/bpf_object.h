// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <bpf/libbpf.h>

#include <memory>
#include <string>
#include <vector>

#include "agent/hooks.h"
#include "agent/kernel_btf.h"
#include "agent/observer.h"
#include "conntrace/unique_fd.h"

struct conntrace_bpf;

namespace conntrace::agent {

struct DestroySkeleton {
  void operator()(conntrace_bpf* skeleton) const noexcept;
};
using Skeleton = std::unique_ptr<conntrace_bpf, DestroySkeleton>;

struct DestroyLink {
  void operator()(bpf_link* link) const noexcept { bpf_link__destroy(link); }
};
using Link = std::unique_ptr<bpf_link, DestroyLink>;

/// Opens the BPF object, chooses what this kernel's tracepoints allow, and loads exactly these hooks.
///
/// Errors: EPERM with explain_refusal(); otherwise what libbpf said.
[[nodiscard]] Result<Skeleton> load_skeleton(const KernelBtf& btf, const std::vector<const Hook*>& chosen,
                                             const ObserverOptions& options);

[[nodiscard]] bpf_program* program_of(conntrace_bpf& skeleton, const Hook& hook);

/// Attaches one loaded hook. `cgroup` is the root of cgroup2, or none. Iterators have a link too.
[[nodiscard]] Result<Link> attach_hook(conntrace_bpf& skeleton, const Hook& hook, const UniqueFd& cgroup);

/// The root of the cgroup2 hierarchy, wherever it is mounted. Errors: ENOENT it is not.
[[nodiscard]] Result<UniqueFd> open_cgroup2();

}  // namespace conntrace::agent
