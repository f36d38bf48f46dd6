// SPDX-License-Identifier: Apache-2.0
#pragma once

namespace conntrace::cli {

/// What the program's exit status means; scripts rely on it.
enum ExitStatus : int {
  kDone = 0,
  kFailed = 1,
  kWrongUsage = 2,
  kTargetGone = 3,  ///< it does not exist, or went away before anything was seen
  kPrivilegesMissing = 77,
};

}  // namespace conntrace::cli
