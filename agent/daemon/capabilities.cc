// SPDX-License-Identifier: Apache-2.0
#include "agent/daemon/capabilities.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <sys/capability.h>
#include <sys/prctl.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <memory>
#include <string>
#include <vector>

namespace conntrace::agent {
namespace {

constexpr std::array<cap_value_t, 5> kNeeded = {CAP_BPF, CAP_PERFMON, CAP_NET_ADMIN, CAP_SYS_PTRACE,
                                                CAP_DAC_READ_SEARCH};

struct FreeCapabilities {
  void operator()(cap_t capabilities) const noexcept { cap_free(capabilities); }
};
using Capabilities = std::unique_ptr<std::remove_pointer_t<cap_t>, FreeCapabilities>;

std::string name_of(cap_value_t capability) {
  char* const name = cap_to_name(capability);
  std::string result = name != nullptr ? name : std::to_string(capability);
  cap_free(name);
  return result;
}

}  // namespace

Result<void> keep_needed_capabilities() {
  const Capabilities held(cap_get_proc());
  if (!held) return Failure(system_error(errno, "read this process's capabilities"));
  std::vector<std::string> missing;
  for (const cap_value_t needed : kNeeded) {
    cap_flag_value_t permitted = CAP_CLEAR;
    if (cap_get_flag(held.get(), needed, CAP_PERMITTED, &permitted) != 0 || permitted == CAP_CLEAR) {
      missing.push_back(name_of(needed));
    }
  }
  if (!missing.empty()) {
    return Failure(system_error(
        EPERM,
        fmt::format("missing {}; start the daemon as root (sudo), or by its systemd unit", fmt::join(missing, ", "))));
  }
  for (cap_value_t other = 0; cap_get_bound(other) >= 0; ++other) {
    const bool needed = std::find(kNeeded.begin(), kNeeded.end(), other) != kNeeded.end();
    if (!needed) [[maybe_unused]]
      const int without_setpcap = cap_drop_bound(other);
  }
  const Capabilities kept(cap_init());
  if (!kept) return Failure(system_error(errno, "make a set of capabilities"));
  const auto count = static_cast<int>(kNeeded.size());
  if (cap_set_flag(kept.get(), CAP_PERMITTED, count, kNeeded.data(), CAP_SET) != 0 ||
      cap_set_flag(kept.get(), CAP_EFFECTIVE, count, kNeeded.data(), CAP_SET) != 0 || cap_set_proc(kept.get()) != 0) {
    return Failure(system_error(errno, "give up capabilities"));
  }
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return Failure(system_error(errno, "set no_new_privs"));
  return {};
}

}  // namespace conntrace::agent
