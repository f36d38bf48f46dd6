// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string_view>

namespace conntrace::agent {

/// The name of a system call that can fail with EMFILE, ENFILE or EADDRNOTAVAIL; empty for others.
[[nodiscard]] std::string_view syscall_name(std::uint32_t number);

}  // namespace conntrace::agent
