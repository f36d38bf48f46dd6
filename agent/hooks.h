// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <string>
#include <string_view>

#include "agent/observer.h"
#include "bpf/kernel_event.h"

namespace conntrace::agent {

/// What a hook is for. Of the hooks of a purpose that is only_one(), the first that works here is used.
enum class Purpose { tcp, send_edge, receive_edge, existing, census, dns, fd_failures, processes };

struct Hook {
  conntrace_program program;
  std::string_view program_name;  ///< in the BPF object
  std::string_view section;       ///< how libbpf and people name the place
  Purpose purpose;
  bool essential;          ///< without it there is nothing to observe
  std::string_view gives;  ///< what is absent without it
};

/// Every hook, better ones of a purpose first.
[[nodiscard]] const std::array<Hook, CONNTRACE_PROGRAM_COUNT - 1>& hooks();

/// Whether hooks of this purpose stand in for each other.
[[nodiscard]] constexpr bool only_one(Purpose purpose) {
  return purpose == Purpose::send_edge || purpose == Purpose::receive_edge;
}

/// Whether the options ask for what this hook gives.
[[nodiscard]] bool wanted(const Hook& hook, const ObserverOptions& options);

/// The section of a program, as loss counters name it.
[[nodiscard]] std::string_view section_of(conntrace_program program);

}  // namespace conntrace::agent
