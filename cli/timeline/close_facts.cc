// SPDX-License-Identifier: Apache-2.0
#include "timeline/close_facts.h"

#include <cerrno>

namespace conntrace::cli {
namespace {

CloseView failed_connect(const KernelClose& close) {
  CloseView view{.at_ns = close.connect_failed_ns};
  if (close.error_number == ECONNREFUSED || close.reset_received_ns != 0) {
    view.by = ClosedBy::peer;
    view.how = CloseHow::refused;
  } else if (close.error_number == ETIMEDOUT) {
    view.by = ClosedBy::local;
    view.how = CloseHow::timeout;
  } else if (close.error_number == 0) {
    view.by = ClosedBy::local;  // only a close() of this side ends SYN_SENT without an error
  }
  return view;
}

}  // namespace

std::uint64_t peer_reset_ns(const KernelClose& close) {
  const bool answered = close.reset_sent_ns > close.reset_received_ns;  // a RST is never answered with one
  return answered ? 0 : close.reset_received_ns;
}

CloseView kernel_view(const KernelClose& close) {
  if (close.connect_failed_ns != 0) return failed_connect(close);
  const std::uint64_t peer_reset = peer_reset_ns(close);
  CloseView view;
  const auto consider = [&view](std::uint64_t at_ns, ClosedBy by) {
    if (at_ns == 0 || (view.at_ns != 0 && view.at_ns <= at_ns)) return;
    view.at_ns = at_ns;
    view.by = by;
  };
  consider(close.local_fin_ns, ClosedBy::local);
  consider(close.peer_fin_ns, ClosedBy::peer);
  consider(peer_reset, ClosedBy::peer);
  const bool gave_up = close.error_number == ETIMEDOUT;
  if (peer_reset == 0 && (close.reset_sent_ns != 0 || gave_up)) consider(close.aborted_ns, ClosedBy::local);
  if (view.at_ns == 0 && close.aborted_ns != 0) view.at_ns = close.aborted_ns;
  if (view.at_ns == 0) view.at_ns = close.state_closed_ns != 0 ? close.state_closed_ns : close.destroyed_ns;

  if (peer_reset != 0) {
    view.how = CloseHow::reset;
  } else if (close.reset_sent_ns != 0) {
    view.how = CloseHow::abort;
  } else if (gave_up) {
    view.how = CloseHow::timeout;
  } else if (close.local_fin_ns != 0 || close.peer_fin_ns != 0) {
    view.how = CloseHow::fin;
  }
  return view;
}

CloseView hook_view(const HookClose& close) {
  CloseView view{.by = close.by, .at_ns = close.at_ns};
  switch (close.error_number) {
    case ECONNREFUSED: view.how = CloseHow::refused; break;
    case ETIMEDOUT: view.how = CloseHow::timeout; break;
    case ECONNRESET: view.how = CloseHow::reset; break;
    default: break;
  }
  if (close.reason == CloseReason::server_reset_idle) view.how = CloseHow::reset;
  return view;
}

}  // namespace conntrace::cli
