// SPDX-License-Identifier: Apache-2.0
#include <exception>

#include "commands/commands.h"
#include "exit_status.h"
#include "say.h"

int main(int argc, char** argv) {
  try {
    return conntrace::cli::run(argc, argv);
  } catch (const std::exception& error) {  // memory ran out, or a defect
    conntrace::cli::complain("internal error: {}", error.what());
    return conntrace::cli::kFailed;
  }
}
