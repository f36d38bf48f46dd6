// SPDX-License-Identifier: Apache-2.0
#pragma once

namespace conntrace::agent {

/// conntrace-agent: runs the daemon, or asks one that runs how it is. Returns the exit status: 0 done, 1 failed, 2
/// wrong usage, 77 privileges missing.
[[nodiscard]] int run_agent(int argc, char** argv);

}  // namespace conntrace::agent
