// SPDX-License-Identifier: Apache-2.0
#include "demo/private_network.h"

#include <net/if.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <string_view>

#include "conntrace/unique_fd.h"

namespace conntrace::cli {
namespace {

Failure failed(const std::string& step) { return Failure(system_error(errno, step)); }

/// Lets this mount namespace see `text` where the file `path` is.
Result<void> cover(const char* path, std::string_view text) {
  std::array<char, 32> name{"/tmp/.conntrace-demo-XXXXXX"};
  const UniqueFd file(::mkostemp(name.data(), O_CLOEXEC));
  if (!file.valid()) return failed("temporary file");
  const bool written = ::write(file.get(), text.data(), text.size()) == static_cast<ssize_t>(text.size()) &&
                       ::fchmod(file.get(), 0444) == 0;
  const bool mounted = written && ::mount(name.data(), path, nullptr, MS_BIND, nullptr) == 0;
  const int error_number = errno;
  ::unlink(name.data());  // the mount keeps the inode
  if (!mounted) return Failure(system_error(error_number, std::string("bind mount on ") + path));
  return {};
}

Result<void> loopback_up() {
  const UniqueFd socket(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  ifreq request{};
  std::memcpy(request.ifr_name, "lo", 3);
  if (!socket.valid() || ::ioctl(socket.get(), SIOCGIFFLAGS, &request) != 0) return failed("loopback");
  request.ifr_flags |= IFF_UP;
  if (::ioctl(socket.get(), SIOCSIFFLAGS, &request) != 0) return failed("loopback");
  return {};
}

}  // namespace

Result<void> enter_private_network(const std::string& nameserver) {
  if (::unshare(CLONE_NEWNS) != 0) return failed("mount namespace");
  if (::mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0) return failed("private mounts");
  const std::string resolver = "nameserver " + nameserver + "\nsearch .\noptions timeout:1 attempts:2\n";
  if (auto covered = cover("/etc/resolv.conf", resolver); !covered) return covered;
  if (auto covered = cover("/etc/nsswitch.conf", "hosts: files dns\n"); !covered) {
    ::umount2("/etc/resolv.conf", MNT_DETACH);
    return covered;
  }
  auto up = ::unshare(CLONE_NEWNET) == 0 ? loopback_up() : Result<void>(failed("network namespace"));
  if (!up) {
    ::umount2("/etc/nsswitch.conf", MNT_DETACH);
    ::umount2("/etc/resolv.conf", MNT_DETACH);
  }
  return up;
}

}  // namespace conntrace::cli
