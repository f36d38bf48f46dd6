// SPDX-License-Identifier: Apache-2.0
#include "agent/daemon/command.h"

int main(int argc, char** argv) { return conntrace::agent::run_agent(argc, argv); }
