// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "conntrace/error.h"

namespace conntrace::cli {

/// Moves this process into a network and mount namespace of its own, where names are asked of `nameserver`, port 53,
/// and nowhere else. The machine outside is not changed, and nothing is left behind: the kernel removes both namespaces
/// with their last process.
///
/// Privilege: CAP_SYS_ADMIN and CAP_NET_ADMIN. Threading: before any thread is started.
/// Errors: which step failed; then the process is where it was before, or sees its own files only where it did.
[[nodiscard]] Result<void> enter_private_network(const std::string& nameserver);

}  // namespace conntrace::cli
