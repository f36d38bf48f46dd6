// SPDX-License-Identifier: Apache-2.0
#include "support/namespaces.h"

#include <net/if.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/socket.h>

#include <algorithm>
#include <cstdio>

#include "conntrace/unique_fd.h"

namespace conntrace::test {
namespace {

bool bring_loopback_up() {
  const UniqueFd fd(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  ifreq request{};
  std::snprintf(request.ifr_name, sizeof request.ifr_name, "lo");
  request.ifr_flags = IFF_UP | IFF_RUNNING;
  return ioctl(fd.get(), SIOCSIFFLAGS, &request) == 0;
}

}  // namespace

bool enter_namespaces(const std::vector<std::pair<std::string, std::string>>& files) {
  if (unshare(CLONE_NEWNET | CLONE_NEWNS) != 0 && unshare(CLONE_NEWUSER | CLONE_NEWNET | CLONE_NEWNS) != 0) {
    return false;
  }
  return bring_loopback_up() && mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0 &&
         std::all_of(files.begin(), files.end(), [](const auto& file) {
           return mount(file.second.c_str(), file.first.c_str(), nullptr, MS_BIND, nullptr) == 0;
         });
}

}  // namespace conntrace::test
