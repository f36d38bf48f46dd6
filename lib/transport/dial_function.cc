// SPDX-License-Identifier: Apache-2.0
#include "conntrace/dial_function.h"

#include <sys/socket.h>
#include <sys/un.h>

#include <cerrno>
#include <cstddef>
#include <cstring>
#include <utility>

#include "conntrace/worker_pool.h"

namespace conntrace {
namespace {

Result<DialledSocket> connect_unix(const std::string& path) {
  const std::string what = "connect " + path;
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  const bool abstract = path.starts_with('@');
  if (path.empty() || path.size() + (abstract ? 0 : 1) > sizeof address.sun_path) {
    return Failure(system_error(path.empty() ? ENOENT : ENAMETOOLONG, what, Phase::connect));
  }
  std::memcpy(address.sun_path, path.data(), path.size());
  if (abstract) address.sun_path[0] = '\0';
  const std::size_t size = offsetof(sockaddr_un, sun_path) + path.size() + (abstract ? 0 : 1);
  UniqueFd fd(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd.valid()) return Failure(system_error(errno, "socket for " + path, Phase::connect));
  if (connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), static_cast<socklen_t>(size)) != 0) {
    return Failure(system_error(errno, what, Phase::connect));
  }
  return DialledSocket{.fd = std::move(fd)};
}

}  // namespace

DialFunction dial_unix(std::string path) {
  return [path = std::move(path)](const DialRequest&, const DialCompletion& done) { done(connect_unix(path)); };
}

DialFunction dial_on(std::shared_ptr<WorkerPool> pool,
                     std::function<Result<DialledSocket>(const DialRequest&)> connect) {
  return
      [pool = std::move(pool), connect = std::move(connect)](const DialRequest& request, const DialCompletion& done) {
        auto accepted = pool->submit([connect, request, done] {
          if (!request.stop.stop_requested()) done(connect(request));  // else nobody waits
        });
        if (!accepted) done(Failure(std::move(accepted).error()));
      };
}

}  // namespace conntrace
