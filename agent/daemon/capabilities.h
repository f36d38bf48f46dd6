// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "conntrace/error.h"

namespace conntrace::agent {

/// Gives up every capability but those that the daemon works with, for good: CAP_BPF, CAP_PERFMON and CAP_NET_ADMIN for
/// the programs, CAP_SYS_PTRACE and CAP_DAC_READ_SEARCH for what /proc says of others.
///
/// Errors: EPERM; which of them are missing, and how they are had.
[[nodiscard]] Result<void> keep_needed_capabilities();

}  // namespace conntrace::agent
