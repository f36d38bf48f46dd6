// SPDX-License-Identifier: Apache-2.0
#include "agent/syscall_names.h"

#include <sys/syscall.h>

namespace conntrace::agent {
namespace {

// clang-format off
#define CONNTRACE_SYSCALLS(X) \
  X(openat) X(openat2) X(open_by_handle_at) X(socket) X(socketpair) X(connect) X(accept) X(accept4) X(dup) \
  X(dup3) X(fcntl) X(ioctl) X(pipe2) X(epoll_create1) X(eventfd2) X(signalfd4) X(timerfd_create) \
  X(inotify_init1) X(fanotify_init) X(memfd_create) X(userfaultfd) X(pidfd_open) X(pidfd_getfd) \
  X(perf_event_open) X(bpf) X(io_uring_setup) X(clone) X(clone3) X(execve) X(execveat) X(mq_open) X(seccomp) \
  X(prctl) X(fsopen) X(fsmount) X(fspick) X(open_tree)

// Newer architectures have only their successors.
#ifdef SYS_open
#define CONNTRACE_OLD_SYSCALLS(X) \
  X(open) X(creat) X(pipe) X(dup2) X(eventfd) X(signalfd) X(epoll_create) X(inotify_init)
#else
#define CONNTRACE_OLD_SYSCALLS(X)
#endif
// clang-format on

struct Row {
  std::uint32_t number;
  std::string_view name;
};

#define CONNTRACE_ROW(name) Row{SYS_##name, #name},
constexpr Row kRows[] = {CONNTRACE_OLD_SYSCALLS(CONNTRACE_ROW) CONNTRACE_SYSCALLS(CONNTRACE_ROW)};
#undef CONNTRACE_ROW

}  // namespace

std::string_view syscall_name(std::uint32_t number) {
  for (const Row& row : kRows) {
    if (row.number == number) return row.name;
  }
  return {};
}

}  // namespace conntrace::agent
