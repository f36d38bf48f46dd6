// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <pthread.h>
#include <signal.h>

#include <string>
#include <thread>
#include <utility>

namespace conntrace {

/// Starts a thread that takes none of the application's signals, and for which writing to a closed pipe is EPIPE.
/// Signals of faults are left alone.
template <class Run>
[[nodiscard]] std::thread start_quiet_thread(const char* name, Run run) {
  struct Quiet {  // a thread inherits the mask of the one that starts it
    sigset_t before;
    Quiet() {
      sigset_t signals;
      sigfillset(&signals);
      for (const int fault : {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGSYS, SIGABRT}) sigdelset(&signals, fault);
      pthread_sigmask(SIG_SETMASK, &signals, &before);
    }
    ~Quiet() { pthread_sigmask(SIG_SETMASK, &before, nullptr); }
  };
  const Quiet quiet;
  return std::thread([name = std::string(name), run = std::move(run)] {
    pthread_setname_np(pthread_self(), name.c_str());
    run();
  });
}

}  // namespace conntrace
