// SPDX-License-Identifier: Apache-2.0
// Stands in for the kernel side in builds without it (-Dbpf=disabled).
#include "agent/observer.h"

namespace conntrace::agent {

Result<std::unique_ptr<Observer>> Observer::open(const ObserverOptions&, Sink) {
  return Failure(make_error(
      Errc::not_built, "this build has no BPF programs; build with -Dbpf=enabled (needs libbpf-dev, clang, bpftool)"));
}

std::vector<HookProbe> probe_hooks() { return {}; }

bool built_with_bpf() noexcept { return false; }

}  // namespace conntrace::agent
