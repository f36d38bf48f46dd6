// SPDX-License-Identifier: Apache-2.0
#include <cstdlib>

#include "agent/observer.h"

namespace conntrace::agent {

std::string agent_socket_path() {
  const char* const chosen = std::getenv("CONNTRACE_AGENT");
  return chosen != nullptr && *chosen != '\0' ? chosen : "/run/conntrace/agent.sock";
}

}  // namespace conntrace::agent
