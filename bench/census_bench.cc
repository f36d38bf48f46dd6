// SPDX-License-Identifier: Apache-2.0
// What a census of a process' descriptors costs: the kernel's walk with what they are, beside /proc, which counts only.
// As root:
//
//     build/bench/census_bench
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <vector>

#include "agent/descriptor_classes.h"
#include "agent/kernel_programs.h"
#include "agent/observer.h"

namespace conntrace::bench {
namespace {

/// CPU time of this thread, in which the kernel walks: on a busy machine the wall clock measures the others.
std::chrono::nanoseconds cpu_now() {
  timespec time{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return std::chrono::seconds(time.tv_sec) + std::chrono::nanoseconds(time.tv_nsec);
}

constexpr int kRounds = 51;

[[noreturn]] void fail(const char* what) {
  std::perror(what);
  std::exit(1);
}

/// Half of them ends of TCP connections, the rest files. Says when it has them, then waits to be killed.
[[noreturn]] void hold(int descriptors, int ready) {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  const int listener = socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  if (listen(listener, 4096) != 0 || getsockname(listener, reinterpret_cast<sockaddr*>(&address), &size) != 0) {
    fail("listen");
  }
  for (int made = 0; made < descriptors / 2; made += 2) {
    const int client = socket(AF_INET, SOCK_STREAM, 0);
    if (connect(client, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) fail("connect");
    if (accept(listener, nullptr, nullptr) < 0) fail("accept");
  }
  for (int made = 0; made < descriptors / 2; ++made) {
    if (open("/dev/null", O_RDONLY) < 0) fail("open");
  }
  if (write(ready, "", 1) != 1) fail("write");
  for (;;) pause();
}

template <class Take>
double median_us(const Take& take) {
  std::vector<double> times;
  for (int i = 0; i < kRounds; ++i) {
    const auto begin = cpu_now();
    take();
    times.push_back(std::chrono::duration<double, std::micro>(cpu_now() - begin).count());
  }
  std::nth_element(times.begin(), times.begin() + kRounds / 2, times.end());
  return times[kRounds / 2];
}

void measure(agent::KernelPrograms& programs, int descriptors) {
  int ready[2];
  if (pipe(ready) != 0) fail("pipe");
  const pid_t pid = fork();
  if (pid == 0) hold(descriptors, ready[1]);
  char byte = 0;
  if (read(ready[0], &byte, 1) != 1) fail("read");
  if (!programs.observe(pid) || !programs.adopt(pid, [](std::span<const std::byte>) {})) fail("observe");
  std::uint64_t open = 0;
  std::size_t classes = 0;
  const double count = median_us([&] {
    const auto counted =
        programs.count_open(std::nullopt, [&open](const conntrace_open_files& files) { open = files.open; });
    if (!counted) fail("count");
  });
  const double walk = median_us([&] {
    const auto tallies = programs.classify_descriptors(pid);
    if (!tallies) fail("classify");
    const agent::FdClasses found(*tallies);
    if (found.total() != open) fail("the walks differ");
    classes = found.view().size();
  });
  const double proc = median_us([&] {
    if (!agent::proc_fd_census(pid)) fail("/proc");
  });
  std::printf("%8llu %8zu %16.0f %16.0f %16.0f\n", static_cast<unsigned long long>(open), classes, count, walk, proc);
  kill(pid, SIGKILL);
  waitpid(pid, nullptr, 0);
  close(ready[0]);
  close(ready[1]);
}

}  // namespace
}  // namespace conntrace::bench

int main() {
  rlimit limit{};
  getrlimit(RLIMIT_NOFILE, &limit);
  limit.rlim_cur = limit.rlim_max;
  if (setrlimit(RLIMIT_NOFILE, &limit) != 0) conntrace::bench::fail("setrlimit");
  const int most = static_cast<int>(std::min<rlim_t>(limit.rlim_max, 20'100)) - 100;
  auto programs = conntrace::agent::KernelPrograms::open({});
  if (!programs) {
    std::fprintf(stderr, "%s\n", programs.error().message().c_str());
    return 1;
  }
  for (const auto& hook : (*programs)->missing()) {
    std::fprintf(stderr, "%s: %s\n", hook.name.c_str(), hook.error.c_str());
  }
  std::printf("CPU, microseconds, medians of %d; /proc counts and reads the limits, it does not classify\n",
              conntrace::bench::kRounds);
  std::printf("    open  classes  iter/task count   walk, classified            /proc\n");
  for (const int descriptors : {100, 1'000, 10'000, most}) conntrace::bench::measure(**programs, descriptors);
}
