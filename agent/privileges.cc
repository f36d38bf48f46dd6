// SPDX-License-Identifier: Apache-2.0
#include "agent/privileges.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <linux/capability.h>

#include <cstdint>
#include <fstream>
#include <utility>

namespace conntrace::agent {
namespace {

std::uint64_t effective_capabilities() {
  std::ifstream status("/proc/self/status");
  std::string line;
  while (std::getline(status, line)) {
    if (line.rfind("CapEff:", 0) == 0) return std::stoull(line.substr(7), nullptr, 16);
  }
  return 0;
}

}  // namespace

std::vector<std::string> missing_capabilities() {
  const std::uint64_t held = effective_capabilities();
  const auto has = [held](int capability) { return (held >> capability & 1) != 0; };
  std::vector<std::string> missing;
  for (const auto& [capability, name, admin] :
       {std::tuple{CAP_BPF, "CAP_BPF", true}, std::tuple{CAP_PERFMON, "CAP_PERFMON", true},
        std::tuple{CAP_NET_ADMIN, "CAP_NET_ADMIN", false}}) {
    if (!has(capability) && !(admin && has(CAP_SYS_ADMIN))) missing.emplace_back(name);
  }
  return missing;
}

std::string explain_refusal() {
  const auto missing = missing_capabilities();
  if (missing.empty()) {
    return "the capabilities are there, yet the kernel refuses: a container's seccomp profile, lockdown mode or a "
           "security module forbids bpf(2); allow it there, or run on the host";
  }
  return fmt::format(
      "missing {}; run as root (sudo), or grant them: setcap cap_bpf,cap_perfmon,cap_net_admin,cap_sys_ptrace+ep "
      "PROGRAM",
      fmt::join(missing, ", "));
}

}  // namespace conntrace::agent
