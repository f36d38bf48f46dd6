// SPDX-License-Identifier: Apache-2.0
#include "timeline/close_facts.h"

#include <gtest/gtest.h>

namespace conntrace::cli {
namespace {

TEST(KernelView, TheFirstFinSaysWhoClosed) {
  const CloseView local = kernel_view({.local_fin_ns = 10, .peer_fin_ns = 20});
  EXPECT_EQ(local.by, ClosedBy::local);
  EXPECT_EQ(local.how, CloseHow::fin);
  const CloseView peer = kernel_view({.local_fin_ns = 20, .peer_fin_ns = 10});
  EXPECT_EQ(peer.by, ClosedBy::peer);
  EXPECT_EQ(peer.at_ns, 10u);
}

TEST(KernelView, AResetOfThePeer) {
  const CloseView view = kernel_view({.reset_received_ns = 10, .state_closed_ns = 11});
  EXPECT_EQ(view.by, ClosedBy::peer);
  EXPECT_EQ(view.how, CloseHow::reset);
}

// As seen on Linux 6.18: close(), then data arrives; the kernel calls tcp_reset() itself, and sends a RST.
TEST(KernelView, DataAfterOurCloseIsOurAbort) {
  const KernelClose close{
      .local_fin_ns = 10, .reset_received_ns = 20, .reset_sent_ns = 30, .state_closed_ns = 21, .destroyed_ns = 25};
  EXPECT_EQ(peer_reset_ns(close), 0u);
  const CloseView view = kernel_view(close);
  EXPECT_EQ(view.by, ClosedBy::local);
  EXPECT_EQ(view.how, CloseHow::abort);
  EXPECT_EQ(view.at_ns, 10u);
}

}  // namespace
}  // namespace conntrace::cli
