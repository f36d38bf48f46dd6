// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

namespace conntrace::agent {

/// The capabilities that the BPF programs need and this process lacks: CAP_BPF, CAP_PERFMON, CAP_NET_ADMIN
/// (CAP_SYS_ADMIN stands for the first two).
[[nodiscard]] std::vector<std::string> missing_capabilities();

/// What to tell somebody whom the kernel refused: which capability is missing, or what else may forbid it, and the fix.
[[nodiscard]] std::string explain_refusal();

}  // namespace conntrace::agent
