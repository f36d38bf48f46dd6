// SPDX-License-Identifier: Apache-2.0
#include "record/unix_listener.h"

#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <optional>
#include <utility>

namespace conntrace {
namespace {

constexpr int kSocketType = SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK;

const sockaddr* generic(const sockaddr_un& address) { return reinterpret_cast<const sockaddr*>(&address); }

Failure failed(int error_number, const std::string& what) { return Failure(system_error(error_number, what)); }

/// Removes the socket that a process of this user left behind. Nothing else is touched.
Result<void> remove_stale(const sockaddr_un& address) {
  const std::string path = address.sun_path;
  struct stat info {};
  if (lstat(path.c_str(), &info) != 0) {
    if (errno == ENOENT) return {};
    return failed(errno, "look at " + path);
  }
  if (!S_ISSOCK(info.st_mode)) return failed(EADDRINUSE, path + " is there and is not a socket; remove it");
  if (info.st_uid != geteuid()) {
    return failed(EADDRINUSE, path + " belongs to user " + std::to_string(info.st_uid) + "; choose another path");
  }
  const UniqueFd probe(socket(AF_UNIX, kSocketType, 0));
  if (!probe.valid()) return failed(errno, "socket");
  if (connect(probe.get(), generic(address), sizeof(address)) == 0 || errno == EAGAIN) {
    return failed(EADDRINUSE, "somebody listens at " + path + " already");
  }
  if (errno != ECONNREFUSED) return failed(errno, "look at " + path);
  if (unlink(path.c_str()) != 0 && errno != ENOENT) return failed(errno, "remove " + path);
  return {};
}

}  // namespace

UnixListener::UnixListener(UniqueFd fd, std::string path, dev_t device, ino_t inode)
    : fd_(std::move(fd)), path_(std::move(path)), device_(device), inode_(inode) {}

Result<UnixListener> UnixListener::listen(const std::string& path, mode_t mode) {
  sockaddr_un address{.sun_family = AF_UNIX, .sun_path = {}};
  if (path.size() >= sizeof(address.sun_path)) return failed(ENAMETOOLONG, path);
  std::memcpy(address.sun_path, path.data(), path.size());

  UniqueFd fd(socket(AF_UNIX, kSocketType, 0));
  if (!fd.valid()) return failed(errno, "socket");
  // The file that bind makes gets this mode, so there is no moment at which others may connect.
  if (fchmod(fd.get(), mode) != 0) return failed(errno, "fchmod");
  int bound = bind(fd.get(), generic(address), sizeof(address));
  if (bound != 0 && errno == EADDRINUSE) {
    if (auto removed = remove_stale(address); !removed) return Failure(std::move(removed.error()));
    bound = bind(fd.get(), generic(address), sizeof(address));
  }
  if (bound != 0) return failed(errno, "bind " + path);
  struct stat info {};
  if (lstat(path.c_str(), &info) != 0) return failed(errno, "look at " + path);
  UnixListener listener(std::move(fd), path, info.st_dev, info.st_ino);
  if (::listen(listener.fd(), 16) != 0) return failed(errno, "listen " + path);
  return listener;
}

UnixListener::~UnixListener() {
  struct stat info {};
  const bool ours = fd_.valid() && lstat(path_.c_str(), &info) == 0 && info.st_dev == device_ && info.st_ino == inode_;
  if (ours) unlink(path_.c_str());
}

bool peer_may_read(int fd) {
  ucred peer{};
  socklen_t size = sizeof(peer);
  if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0) return false;
  return peer.uid == 0 || peer.uid == geteuid();
}

}  // namespace conntrace
