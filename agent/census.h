// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "agent/process_info.h"
#include "conntrace/event.h"

namespace conntrace::agent {

/// fd_census of a process that read_process_stat() or read_process_info() just found. Errors: ESRCH, EACCES.
[[nodiscard]] Result<Event> count_descriptors(ProcessInfo process);

}  // namespace conntrace::agent
