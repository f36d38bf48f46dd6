// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "timeline/socket_state.h"

namespace conntrace::cli {

/// Who closed first and how, as one observer saw it.
struct CloseView {
  ClosedBy by = ClosedBy::unknown;
  CloseHow how = CloseHow::unknown;
  std::uint64_t at_ns = 0;  ///< 0: it saw no close
};

/// When a RST of the peer arrived; 0: none did. The kernel reports the same when it resets the socket by itself,
/// because data came after this side's close(): it then also sends one (RFC 1122 section 4.2.2.13).
[[nodiscard]] std::uint64_t peer_reset_ns(const KernelClose& close);
/// From the kernel's transitions and resets. Source: design reference "event grammar of one connection".
[[nodiscard]] CloseView kernel_view(const KernelClose& close);
/// From what the library said.
[[nodiscard]] CloseView hook_view(const HookClose& close);

}  // namespace conntrace::cli
